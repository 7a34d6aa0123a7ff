"""What the page that compares two agents shows, as plain data."""

from typing import Any

from mleb.view.cells import MARKS
from mleb.view.index import GroupIndex, Index
from mleb.view.statistics import Statistics

__all__ = ["choices", "chosen", "comparison"]

_BETWEEN = "|"


def choices(index: Index) -> list[dict[str, Any]]:
    """What can be compared: each agent of each group that can be read."""
    found = []
    for group in index.groups():
        group.refresh()
        for agent in group.group.agents if group.group else ():
            found.append({"value": f"{group.name}{_BETWEEN}{agent}", "group": group.name, "agent": agent})
    return found


def chosen(index: Index, value: str) -> tuple[GroupIndex, str] | None:
    """The group and agent that a value of `choices` names."""
    name, _, agent = value.rpartition(_BETWEEN)
    group = index.group(name)
    if group is None:
        return None
    group.refresh()
    return (group, agent) if group.group is not None and agent in group.group.agents else None


def comparison(a: tuple[GroupIndex, str], b: tuple[GroupIndex, str], statistics: Statistics) -> dict[str, Any]:
    """What `mleb compare` says of two agents, with the runs of each; {"error": line} where it says nothing."""
    found = dict(statistics.compare(a[0], a[1], b[0], b[1]))
    if "error" in found:
        return found
    found["competitions"] = [
        {
            **row,
            "cells_a": _cells(*a, row["competition"], found["seeds"]),
            "cells_b": _cells(*b, row["competition"], found["seeds"]),
        }
        for row in found["competitions"]
    ]
    for side, (group, agent) in (("a", a), ("b", b)):
        found[side] = {**found[side], "name": group.name, "folder": group.agent_folder(agent)}
    return found


def _cells(index: GroupIndex, agent: str, competition: str, seeds: list[int]) -> list[dict[str, Any]]:
    group = index.group
    assert group is not None
    cells, found = index.cells(), []
    first = (group.competitions.index(competition) * len(group.agents) + group.agents.index(agent)) * group.seeds
    for seed in seeds:
        cell = cells[first + seed]
        mark = cell.mark if cell else "p"
        score = f", {cell.score:g}" if cell and cell.score is not None else ""
        found.append({"seed": seed, "mark": mark, "sign": MARKS[mark][1], "title": f"{MARKS[mark][0]}{score}"})
    return found
