"""A group's report with the figures that also need what else lies in its directory: usage.json, graded snapshots."""

from pathlib import Path

from mleb_core.errors import RunGroupError
from mleb_core.gateway.records import Usage
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.report.load import load_model
from mleb_core.report.models import GroupReport, RunSnapshots
from mleb_core.report.statistics.bootstrap import bootstrap_interval
from mleb_core.report.statistics.cost import RunCost, cost_figures
from mleb_core.report.statistics.grid import medal_grid
from mleb_core.report.statistics.models import AgentFigures, ReportWithFigures
from mleb_core.report.statistics.overtime import medals_over_time
from mleb_core.report.statistics.passk import pass_at_ks
from mleb_core.run import RunKey

__all__ = ["with_figures"]


def with_figures(report: GroupReport, directory: Path) -> tuple[ReportWithFigures, list[str]]:
    """The report with its `figures`.

    Args:
        report: of the group.
        directory: the group's; runs that it lacks are runs of unknown cost.

    Returns:
        The report, and a line for each file that is there but could not be read; it is taken as not there.
    """
    problems: list[str] = []
    figures = tuple(_figures(report, agent, GroupLayout(directory), problems) for agent in report.group.agents)
    fields = {name: getattr(report, name) for name in GroupReport.model_fields}
    return ReportWithFigures(**fields, figures=figures), problems


def _figures(report: GroupReport, agent: str, layout: GroupLayout, problems: list[str]) -> AgentFigures:
    grid = medal_grid(report, agent)
    times = {run.key: run.runtime_s for run in report.runs}
    steps = {run.key: run.usage.steps for run in report.runs if run.usage is not None}
    costs: list[RunCost] = []
    scored: list[RunSnapshots] = []
    for competition in grid.competitions:
        for seed in grid.seeds:
            place = layout.run(competition, agent, seed)
            key = RunKey(competition=competition, agent=agent, seed=seed)
            usage = _read_usage(place, problems)
            costs.append(
                RunCost(
                    medal=grid.medal(competition, seed),
                    runtime_s=times.get(key),
                    cost_usd=usage.known_cost_usd if usage else None,
                    unpriced=bool(usage and usage.unpriced),
                    tokens=usage.tokens.total if usage else None,
                    steps=steps.get(key),
                )
            )
            if (snapshots := _read_snapshots(place, key, problems)) is not None:
                scored.append(snapshots)
    interval = bootstrap_interval(grid.rows())
    return AgentFigures(
        agent=agent,
        asked=grid.asked,
        graded=grid.graded,
        any_medal_bootstrap=(100 * interval[0], 100 * interval[1]) if interval else None,
        pass_at_k=pass_at_ks(grid),
        cost=cost_figures(costs, grid.asked),
        runs_with_snapshots=len(scored),
        over_time=medals_over_time(scored, grid.asked) if scored else (),
    )


def _read_usage(place: RunLayout, problems: list[str]) -> Usage | None:
    try:
        return load_model(place.usage, Usage, "a run's use of models") if place.usage.exists() else None
    except RunGroupError as error:
        problems.append(str(error))
        return None


def _read_snapshots(place: RunLayout, key: RunKey, problems: list[str]) -> RunSnapshots | None:
    try:
        if not place.snapshot_scores.exists():
            return None
        found = load_model(place.snapshot_scores, RunSnapshots, "a run's graded snapshots")
    except RunGroupError as error:
        problems.append(str(error))
        return None
    if found.key != key:
        problems.append(f"{place.snapshot_scores}: it is that of another run")
        return None
    return found
