"""What a run's page shows, as plain data.

Each part of it stands alone: a file that is missing, half-written or foreign costs that part only, and a line says so.
"""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from mleb.view.cells import MARKS
from mleb.view.curves import medal_lines, resource_charts, score_chart, snapshot_lines
from mleb.view.files import FileProblem, Listed, listing, read
from mleb.view.index import GroupIndex, Key
from mleb.view.text import size, terminal
from mleb_core.errors import MlebError
from mleb_core.gateway.records import Usage
from mleb_core.layout import RunLayout
from mleb_core.report.load import parse_model
from mleb_core.report.models import RunReport, RunSnapshots
from mleb_core.run import Run

__all__ = ["MOST_FILES", "run_page", "shown_files"]

MOST_FILES = 2000
"""Files of a run that are listed."""
HEAD_ROWS = 10
"""Rows of the submission that are shown."""
_MOST_JSON = 16 << 20
_MOST_EVENTS = 500
_HEAD_BYTES = 64 << 10
_MOST_CELL = 120


def run_page(index: GroupIndex, key: Key, place: RunLayout) -> dict[str, Any]:
    """A run's page but for its log, transcript and ledger, which come piece by piece."""
    base = index.directory
    cell = index.cell(key)
    mark = cell.mark if cell else "p"
    report = _part(lambda: _report(index, place))
    return {
        "group": index.name,
        "competition": key.competition,
        "agent": key.agent,
        "folder": index.agent_folder(key.agent),
        "seed": key.seed,
        "mark": mark,
        "sign": MARKS[mark][1],
        "words": MARKS[mark][0],
        "status": (cell.status or "unknown") if cell else "not started",
        "note": cell.note if cell else "nothing of this run is on disk yet",
        "imported": index.group.imported if index.group else None,
        "run": _part(lambda: _run_facts(index, place)),
        "report": report if "problem" in report else _report_facts(report["model"]),
        "scores": _part(lambda: _scores(index, place, report.get("model"))),
        "resources": _part(lambda: {"charts": resource_charts(read(base, place.resources, _MOST_JSON))}),
        "usage": _part(lambda: _usage(index, place)),
        "submission": _part(lambda: _submission(index, place)),
        "files": shown_files(index, place),
        "events": _part(lambda: _events(index, place)),
    }


def shown_files(index: GroupIndex, place: RunLayout) -> dict[str, Any]:
    """The files that an agent left, by directory."""
    found: dict[str, Any] = {}
    for folder in (place.code, place.submission_dir, place.logs, place.snapshots):
        try:
            files, more = listing(index.directory, folder, MOST_FILES)
        except FileProblem as problem:
            found[folder.name] = {"problem": str(problem)}
            continue
        found[folder.name] = {
            "more": more,
            "files": [_file(folder.name, file) for file in files],
        }
    return found


def _file(folder: str, file: Listed) -> dict[str, Any]:
    return {"path": f"{folder}/{file.path}", "bytes": file.size, "size": size(file.size), "refused": file.refused}


def _part(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A part of the page, or the line that says why it cannot be shown."""
    try:
        return make()
    except FileProblem as problem:
        return {"problem": str(problem), "missing": problem.missing}
    except MlebError as error:
        return {"problem": str(error), "missing": False}


def _report(index: GroupIndex, place: RunLayout) -> dict[str, Any]:
    path = place.report
    content = read(index.directory, path, _MOST_JSON)
    return {"model": parse_model(path.relative_to(index.directory), content, RunReport, "a run's report")}


def _run_facts(index: GroupIndex, place: RunLayout) -> dict[str, Any]:
    content = read(index.directory, place.run, _MOST_JSON)
    run = parse_model(place.run.relative_to(index.directory), content, Run, "a run's state")
    outcome = run.outcome
    return {
        "attempt": run.attempt,
        "failures": run.failures,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "cause": outcome.cause.value if outcome and outcome.cause else "",
        "message": outcome.message if outcome else "",
        "exit_code": outcome.exit_code if outcome else None,
        "runtime_s": outcome.runtime_s if outcome else None,
        "peak_memory": size(outcome.peak_memory_bytes) if outcome and outcome.peak_memory_bytes else "",
        "refused": list(outcome.refused) if outcome else [],
    }


def _report_facts(report: RunReport) -> dict[str, Any]:
    document = report.model_dump(mode="json", exclude={"competition_report", "key"})
    graded = report.competition_report
    if graded is None:
        return {**document, "grade": None}
    return {**document, "grade": {**graded.model_dump(mode="json"), "lines": medal_lines(graded)}}


def _scores(index: GroupIndex, place: RunLayout, report: RunReport | None) -> dict[str, Any]:
    base, graded = index.directory, report.competition_report if report else None
    try:
        path = place.snapshot_scores
        content = read(base, path, _MOST_JSON)
        scored = parse_model(path.relative_to(base), content, RunSnapshots, "a run's graded snapshots")
        points = [point.model_dump(mode="json") for point in scored.snapshots]
        return {"chart": score_chart(scored, graded), "points": points, "graded": True}
    except FileProblem as problem:
        if not problem.missing:
            raise
    points = snapshot_lines(read(base, place.snapshot_list, _MOST_JSON))
    return {"chart": None, "points": points, "graded": False}


def _usage(index: GroupIndex, place: RunLayout) -> dict[str, Any]:
    content = read(index.directory, place.usage, _MOST_JSON)
    usage = parse_model(place.usage.relative_to(index.directory), content, Usage, "a run's use of models")
    return usage.model_dump(mode="json")


def _submission(index: GroupIndex, place: RunLayout) -> dict[str, Any]:
    """The first rows of the submission."""
    from mleb.view.passages import passage

    head = passage(index.directory, place.submission, start=0, length=_HEAD_BYTES)
    rows = []
    try:
        for row in csv.reader(io.StringIO(head.text), strict=False):
            rows.append([_cut(value) for value in row[:50]])
            if len(rows) > HEAD_ROWS:
                break
    except csv.Error:
        rows = [[_cut(line)] for line in head.text.split("\n")[: HEAD_ROWS + 1]]
    return {"rows": rows, "size": size(head.size), "whole": head.end == head.size and len(rows) <= HEAD_ROWS}


def _cut(value: str) -> str:
    return value if len(value) <= _MOST_CELL else value[: _MOST_CELL - 1] + "…"


def _events(index: GroupIndex, place: RunLayout) -> dict[str, Any]:
    from mleb.view.passages import passage

    found = passage(index.directory, place.events)
    events = []
    for line in found.text.splitlines():
        try:
            event = json.loads(line)
            details = {name: value for name, value in event.items() if name not in ("time", "event")}
            events.append({"time": str(event["time"]), "event": str(event["event"]), "details": details})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            events.append({"time": "", "event": "a line that is none", "details": {"line": terminal(line)[:300]}})
    return {"events": events[-_MOST_EVENTS:], "more": found.start > 0 or len(events) > _MOST_EVENTS}
