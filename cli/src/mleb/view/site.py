"""The pages of a directory of run groups, each from what lies there at the moment."""

from pathlib import Path
from typing import Any

from mleb.view.comparing import choices, chosen, comparison
from mleb.view.findings import Findings
from mleb.view.groups import competition_page, group_live, group_page, group_row, troubles
from mleb.view.index import GroupIndex, Index, Key
from mleb.view.leaderboards import Leaderboards
from mleb.view.pages import render
from mleb.view.runs import run_page
from mleb.view.statistics import Statistics
from mleb.view.transcript import Transcripts
from mleb_core.layout import RunLayout

__all__ = ["Site"]

MOST_FOREIGN = 50
"""Directories that are no run groups and are listed all the same."""


class Site:
    """Makes pages. Safe to use from many threads."""

    def __init__(self, root: Path, *, served: bool, data_dir: Path | None = None) -> None:
        """Args:
        root: a directory of run groups, or one.
        served: whether there is a server that has more; else pages are to open from disk.
        data_dir: where leaderboards are looked for first; then where a group had its data.
        """
        self.index = Index(root)
        self.statistics = Statistics()
        self.leaderboards = Leaderboards(data_dir)
        self.transcripts = Transcripts()
        self.findings = Findings()
        self.served = served

    def list(self, template: str = "index.html") -> str:
        """All groups."""
        groups = self.index.groups()
        for group in groups:
            group.refresh()
        good = [group_row(group) for group in groups if group.group is not None]
        foreign = [group_row(group) for group in groups if group.group is None]
        return self._render(
            template,
            0,
            groups=[*good, *foreign[:MOST_FOREIGN]],
            more=max(0, len(foreign) - MOST_FOREIGN),
            problem=self.index.problem,
            directory=str(self.index.root),
        )

    def list_live(self) -> dict[str, Any]:
        """What changes in the list."""
        groups = self.index.groups()
        for group in groups:
            group.refresh()
        return {"groups": {group.name: [group.version, group.at_work] for group in groups}}

    def group(self, group: GroupIndex, template: str = "group.html") -> str:
        """A group, or a part of its page."""
        values: dict[str, Any] = {}
        if template in ("group.html", "troubles.html"):
            values["troubles"] = troubles(group)
        if template in ("group.html", "findings.html"):
            values["findings"] = self.findings.of_group(group)
        if template == "group.html":
            values["group"] = group_page(group)
        if template == "figures.html" or (template == "group.html" and not self.served):
            figures = self.statistics.figures(group)
            values |= {"figures": figures, "over_time": _over_time(figures)}
        return self._render(template, 2, **values)

    def group_live(self, group: GroupIndex) -> dict[str, Any]:
        """What changes in a group."""
        return group_live(group)

    def competition(self, group: GroupIndex, competition: str, template: str = "competition.html") -> str:
        """A competition of a group."""
        return self._render(template, 3, page=competition_page(group, competition, self.leaderboards))

    def run(
        self,
        group: GroupIndex,
        key: Key,
        place: RunLayout,
        template: str = "run.html",
        kept: dict[str, Any] | None = None,
    ) -> str:
        """A run, or a part of its page.

        Args:
            group: its group.
            key: which run.
            place: its directory.
            template: of the page or the part.
            kept: what a page without a server has of log, transcript, ledger and files.
        """
        return self._render(
            template, 5, page=run_page(group, key, place), findings=self.findings.of_run(group, key), kept=kept or {}
        )

    def compare(self, a: str | None, b: str | None) -> str:
        """Two agents, or the choice of them."""
        known = choices(self.index)
        sides = [chosen(self.index, value) if value else None for value in (a, b)]
        problem = "that group or agent is not there (any more)" if (a and not sides[0]) or (b and not sides[1]) else ""
        found = comparison(sides[0], sides[1], self.statistics) if sides[0] and sides[1] else None
        first = known[0]["value"] if known else ""
        second = known[1]["value"] if len(known) > 1 else first
        return self._render(
            "compare.html", 1, choices=known, value_a=a or first, value_b=b or second, problem=problem, found=found
        )

    def problem(self, depth: int, title: str, line: str) -> str:
        """What cannot be shown, and why."""
        return self._render("problem.html", depth, title=title, line=line)

    def _render(self, template: str, depth: int, **values: Any) -> str:
        return render(template, depth=depth, served=self.served, **values)


def _over_time(figures: dict[str, Any]) -> dict[str, Any] | None:
    """Medals over time of all agents whose snapshots were graded, as a chart."""
    known = [agent for agent in figures.get("figures", ()) if agent["over_time"]]
    if not known:
        return None
    times = sorted({point["elapsed_s"] for agent in known for point in agent["over_time"]})
    series = []
    for agent in known:
        points = {point["elapsed_s"]: point["any_medal_percentage"] for point in agent["over_time"]}
        at, y = 0.0, []
        for time in times:
            at = points.get(time, at)
            y.append(at)
        series.append({"label": agent["agent"], "y": y})
    return {"x": times, "series": series, "unit": "%", "title": "Competitions with a medal over time"}
