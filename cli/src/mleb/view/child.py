"""The child process of the viewer: figures of a group, or two agents compared, as one JSON object on stdout.

usage: python -P -m mleb.view.child figures GROUP
       python -P -m mleb.view.child compare GROUP_A AGENT_A GROUP_B AGENT_B

The same functions as `mleb report` and `mleb compare` use. They hold whole reports and load NumPy, which a page that
stays open all day need not.
"""

import json
import sys
from pathlib import Path
from typing import Any

from mleb_core.errors import MlebError
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, unreadable_runs
from mleb_core.report.models import GroupReport

__all__ = ["main"]

MOST_LINES = 200


def main(arguments: list[str]) -> int:
    """Do what is asked for, and say what went wrong as JSON, too."""
    try:
        match arguments:
            case ["figures", group]:
                found = _figures(Path(group))
            case ["compare", group_a, agent_a, group_b, agent_b]:
                found = _compare(Path(group_a), agent_a, Path(group_b), agent_b)
            case _:
                return 2
    except MlebError as error:
        found = {"error": str(error)}
    json.dump(found, sys.stdout)
    return 0


def _figures(directory: Path) -> dict[str, Any]:
    from mleb_core.report.statistics.figures import with_figures

    report, problems = with_figures(_report(directory), directory)
    document = report.model_dump(mode="json", exclude={"runs", "group", "missing", "not_asked"}, fallback=str)
    lines = [*problems, *unreadable_runs(report)]
    modelled = {
        run.key.competition
        for run in report.runs
        if run.competition_report is not None and run.competition_report.leaderboard_kind != "humans"
    }
    return {
        **document,
        "problems": lines[:MOST_LINES],
        "problems_more": max(0, len(lines) - MOST_LINES),
        "not_asked": [str(key) for key in report.not_asked[:MOST_LINES]],
        "reference_models": sorted(modelled),
    }


def _compare(directory_a: Path, agent_a: str, directory_b: Path, agent_b: str) -> dict[str, Any]:
    from mleb_core.report.statistics.comparison import compare

    a, b = _report(directory_a), _report(directory_b)
    lines = list(dict.fromkeys(line for report in (a, b) for line in unreadable_runs(report)))
    return {**compare(a, agent_a, b, agent_b).model_dump(mode="json"), "problems": lines[:MOST_LINES]}


def _report(directory: Path) -> GroupReport:
    return group_report(*collect_group(directory), directory=directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
