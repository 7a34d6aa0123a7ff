"""The figures of a group beside its report, as `mleb report --json` gives them.

ReportWithFigures   a group's report > AgentFigures > PassAtK, CostFigures, TimePoint
"""

from pydantic import Field

from mleb_core.report.models import GroupReport, Percent, Report

__all__ = ["AgentFigures", "CostFigures", "PassAtK", "ReportWithFigures", "TimePoint"]


class PassAtK(Report):
    """One agent's chance of a medal among k attempts."""

    k: int = Field(ge=1)
    """Attempts that are looked at."""
    percentage: Percent
    """Mean over the competitions asked for of the unbiased estimate (Chen et al. 2021), in percent."""
    attempts: int = Field(ge=1)
    """Attempts at each competition that the estimate rests on: the seeds asked for."""


class CostFigures(Report):
    """What one agent's runs took. What is not known is None, and not part of any sum."""

    asked: int
    """Runs asked for."""
    medals: int
    """Runs with a medal."""
    runs_with_time: int
    """Runs whose time is known."""
    time_s: float | None
    """Wall-clock seconds of these runs' agents together."""
    time_s_per_medal: float | None
    """The same for each medal; None without a medal."""
    runs_with_usage: int
    """Runs whose use of models is known (usage.json)."""
    cost_usd: float | None
    """US dollars for these runs' models, where their price is known."""
    cost_usd_per_medal: float | None
    """The same for each medal; None without a medal."""
    runs_unpriced: int
    """Runs with exchanges of unknown price: with any, the two before are lower bounds."""
    tokens: int | None
    """Tokens of these runs' models, input and output."""
    runs_with_steps: int = 0
    """Runs whose steps are known (`UsageSummary.steps`)."""
    steps: int | None = None
    """Steps of these runs' agents together."""


class TimePoint(Report):
    """How an agent stood from a time on, until the next."""

    elapsed_s: float = Field(ge=0)
    """Seconds from the start of each run's agent."""
    any_medal_percentage: Percent
    """Runs whose submission earned a medal at that time, in percent of those asked for."""
    medals: int
    """Number of these runs."""


class AgentFigures(Report):
    """What is known of an agent beside its `AgentResult`."""

    agent: str
    """Agent id."""
    asked: int
    """Runs asked for."""
    graded: int
    """Runs with a verdict; the others count as runs without a medal."""
    any_medal_bootstrap: tuple[float, float] | None
    """95 % interval of the any-medal percentage by a two-level bootstrap over competitions and seeds; None for a
    single competition."""
    pass_at_k: tuple[PassAtK, ...]
    """By k; empty for a single seed."""
    cost: CostFigures
    """Money and time."""
    runs_with_snapshots: int
    """Runs whose snapshots were graded (`mleb grade --snapshots`)."""
    over_time: tuple[TimePoint, ...]
    """Medals over time, by time; empty where no snapshots were graded."""


class ReportWithFigures(GroupReport):
    """What `mleb report --json` gives: a group's report, and figures that also need what else lies in its directory.

    The report.json of a group has no `figures`: snapshots may be graded at any later time.
    """

    figures: tuple[AgentFigures, ...] = ()
    """By agent, in the order asked for."""
