"""What the list of groups, a group's page and a competition's page show, as plain data."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mleb.view.cells import MARKS, UNDER_WAY, Cell
from mleb.view.curves import medal_lines
from mleb.view.files import read
from mleb.view.index import GroupIndex
from mleb.view.leaderboards import Leaderboards, bare, histogram
from mleb.view.pages import address
from mleb_core.errors import MlebError
from mleb_core.leaderboard import standing
from mleb_core.report.load import parse_model
from mleb_core.report.models import RunReport
from mleb_core.report.statistics import mean, percentage, standard_error

__all__ = ["MOST_LINES", "competition_page", "counts", "group_live", "group_page", "group_row", "troubles"]

MOST_LINES = 200
"""Runs that are listed with what went wrong."""
MOST_REPORT = 4 << 20
_LETTERS = {"finished": "f", "timed_out": "t", "failed": "x", "cancelled": "c", "interrupted": "i", "": "d"}


def counts(cells: Sequence[Cell | None]) -> dict[str, int]:
    """How many runs did what. `asked` is `graded` + `missing`."""
    marks = Counter(cell.mark if cell else "p" for cell in cells)
    there = [cell for cell in cells if cell]
    return {
        "asked": len(cells),
        "ended": sum(cell.ended for cell in there),
        "graded": sum(cell.graded for cell in there),
        "missing": len(cells) - sum(cell.graded for cell in there),
        "under_way": sum(cell.status in UNDER_WAY for cell in there),
        "medals": marks["g"] + marks["s"] + marks["b"],
        "gold": marks["g"],
        "silver": marks["s"],
        "bronze": marks["b"],
    }


def group_row(index: GroupIndex) -> dict[str, Any]:
    """A group as a line of the list."""
    group = index.group
    if group is None:
        return {"name": index.name, "problem": index.problem or "it is being read", "state": "problem"}
    cells = index.cells()
    found = counts(cells)
    agents = []
    for number, agent in enumerate(group.agents):
        shares = _percentages(index, cells, number)
        agents.append({"agent": agent, "mean": mean(shares), "error": standard_error(shares)})
    return {
        "name": index.name,
        "problem": "",
        "state": _state(index, found),
        "created_at": group.created_at,
        "agents": agents,
        "competitions": len(group.competitions),
        "split": group.split,
        "seeds": group.seeds,
        "model": group.model,
        "imported": group.imported,
        "counts": found,
    }


def group_live(index: GroupIndex) -> dict[str, Any]:
    """What changes in a group while runs go on: a letter a run for its mark and for its status, scores, counts."""
    cells = index.cells()
    found = counts(cells)
    return {
        "version": index.version,
        "state": _state(index, found),
        "counts": found,
        "marks": "".join(cell.mark if cell else "p" for cell in cells),
        "statuses": "".join(
            _LETTERS.get(cell.status, "r" if cell.mark == "r" else "p") if cell else "p" for cell in cells
        ),
        "scores": [cell.score if cell else None for cell in cells],
    }


def group_page(index: GroupIndex) -> dict[str, Any]:
    """A group with its matrix."""
    group = index.group
    assert group is not None
    cells = index.cells()
    rows = []
    columns = [(agent, index.agent_folder(agent), seed) for agent in group.agents for seed in range(group.seeds)]
    for number, competition in enumerate(group.competitions):
        part = cells[number * len(columns) : (number + 1) * len(columns)]
        rows.append(
            {
                "competition": competition,
                "cells": [(cell.mark if cell else "p", _title(cell)) for cell in part],
                "medals": sum(cell.medal for cell in part if cell),
            }
        )
    return {
        **group_row(index),
        "rows": rows,
        "columns": columns,
        "folders": [address(folder, seed, "index.html") for _, folder, seed in columns],
        "agent_ids": list(group.agents),
        "marks": {mark: (words, sign) for mark, (words, sign) in MARKS.items()},
        "others": list(index.others),
        "facts": _facts(index),
    }


def troubles(index: GroupIndex) -> dict[str, Any]:
    """The runs that something went wrong with, `lines` of them and `more`."""
    found = [
        {
            "competition": key.competition,
            "agent": key.agent,
            "folder": index.agent_folder(key.agent),
            "seed": key.seed,
            "status": cell.status or "unknown",
            "words": MARKS[cell.mark][0],
            "note": cell.note,
        }
        for key, cell in zip(index.each(), index.cells(), strict=False)
        if cell and (cell.note or cell.mark in "xneftid")
    ]
    return {"lines": found[:MOST_LINES], "more": max(0, len(found) - MOST_LINES)}


def competition_page(index: GroupIndex, competition: str, leaderboards: Leaderboards) -> dict[str, Any]:
    """A competition: its leaderboard as a distribution, and the group's runs on it."""
    group = index.group
    assert group is not None
    facts = leaderboards.facts(competition, group.data_dir)
    if "thresholds" not in facts:
        facts = {**facts, **_reported(index, competition)}
    scores: list[float] = facts.get("scores", [])
    lower = bool(facts.get("lower_better"))
    runs = []
    for key, cell in zip(index.each(), index.cells(), strict=False):
        if key.competition != competition:
            continue
        run: dict[str, Any] = {
            "agent": key.agent,
            "folder": index.agent_folder(key.agent),
            "seed": key.seed,
            "mark": cell.mark if cell else "p",
            "words": MARKS[cell.mark if cell else "p"][0],
            "status": (cell.status or "unknown") if cell else "not started",
            "score": cell.score if cell else None,
            "runtime_s": cell.runtime_s if cell else None,
            "note": cell.note if cell else "",
        }
        if cell and cell.score is not None and scores:
            place = standing(cell.score, scores, higher_is_better=not lower)
            run |= {"place": place.place, "percentile": place.percentile}
        runs.append(run)
    return {
        "competition": competition,
        "group": index.name,
        "facts": {name: value for name, value in facts.items() if name != "scores"},
        "count": len(scores),
        "runs": runs,
        "chart": _chart(facts, scores, runs),
    }


def _reported(index: GroupIndex, competition: str) -> dict[str, Any]:
    """What the report of a graded run says of the leaderboard, where the competition is not installed."""
    for key, cell in zip(index.each(), index.cells(), strict=False):
        if key.competition == competition and cell and cell.graded:
            path = index.layout.run(key.competition, key.agent, key.seed).report
            try:
                report = parse_model(
                    Path(path.name), read(index.directory, path, MOST_REPORT), RunReport, "a run's report"
                )
            except MlebError:
                continue
            if (graded := report.competition_report) is not None:
                return {
                    "kind": graded.leaderboard_kind,
                    "lower_better": graded.is_lower_better,
                    "teams": graded.teams,
                    "thresholds": {line["name"]: line["at"] for line in medal_lines(graded)},
                    "issues": list(graded.known_issues),
                }
    return {}


def _chart(facts: dict[str, Any], scores: list[float], runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    thresholds: dict[str, float] = facts.get("thresholds", {})
    ours = [run["score"] for run in runs if run["score"] is not None]
    marks = [value for value in thresholds.values() if math.isfinite(value)]
    if not scores and not marks:
        return None
    return {
        **(histogram(scores, ours, marks) if scores else bare([*ours, *marks])),
        "lines": [{"name": name, "at": value} for name, value in thresholds.items()],
        "ours": [
            {"name": f"{run['agent']} seed {run['seed']}", "at": run["score"], "mark": run["mark"]}
            for run in runs
            if run["score"] is not None
        ],
        "lower_better": facts.get("lower_better"),
    }


def _percentages(index: GroupIndex, cells: Sequence[Cell | None], agent: int) -> list[float]:
    """Competitions with a medal, in percent, for each seed of an agent."""
    group = index.group
    assert group is not None
    columns = len(group.agents) * group.seeds
    shares = []
    for seed in range(group.seeds):
        column = cells[agent * group.seeds + seed :: columns]
        shares.append(percentage(sum(cell is not None and cell.medal for cell in column), len(column)))
    return shares


def _state(index: GroupIndex, found: dict[str, int]) -> str:
    if index.at_work:
        return "live"
    if index.group is not None and index.group.imported is not None:
        return "imported"
    return "complete" if found["ended"] == found["asked"] else "stopped"


def _title(cell: Cell | None) -> str:
    if cell is None:
        return MARKS["p"][0]
    words = MARKS[cell.mark][0]
    if cell.score is not None:
        words += f", {cell.score:g}"
    if cell.mark in "gsbavxne" and cell.status not in ("finished", ""):
        words += f"; {cell.status.replace('_', ' ')}"
    return words


def _facts(index: GroupIndex) -> list[tuple[str, str]]:
    group = index.group
    assert group is not None
    facts = {
        "Started": group.created_at,
        "Imported from": group.imported or "",
        "Split": group.split or "",
        "Model": group.model or "",
        "Settings": ", ".join(f"{name}={value}" for name, value in group.settings.items()),
        "Time limit": f"{group.limits.time_s:g} s",
        "Workers": str(group.workers),
        "Runner, engine": f"{group.runner}, {group.engine}",
        "Data": group.data_dir,
        "Plugins": ", ".join(f"{name} {version}" for name, version in group.plugins.items()),
    }
    if group.imported is not None:  # of all this nothing is known
        for name in ("Time limit", "Workers", "Runner, engine", "Data", "Plugins"):
            del facts[name]
    return [(name, value) for name, value in facts.items() if value]
