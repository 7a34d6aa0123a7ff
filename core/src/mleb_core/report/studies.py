"""What the arms of a study came to, side by side: each arm is a run group (`mleb sweep`)."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from mleb_core.errors import MlebError
from mleb_core.report.models import Estimate, Percent, Report
from mleb_core.report.statistics.comparison import compare
from mleb_core.report.statistics.models import AgentFigures, CostFigures, PassAtK, ReportWithFigures
from mleb_core.report.text import markdown
from mleb_core.run import Text, now

__all__ = [
    "ArmDifference",
    "ArmResult",
    "StudyReport",
    "difference_shown",
    "passes_shown",
    "study_markdown",
    "study_report",
]


class ArmDifference(Report):
    """How an arm differs from the study's baseline, on the competitions and seeds of both (`mleb compare`)."""

    baseline: str
    """The arm that it is compared with."""
    difference: float
    """Any-medal percentage of this arm minus that of the baseline, in points."""
    interval: tuple[float, float] | None
    """95 % interval by the paired two-level bootstrap; None for a single competition."""
    p_value: float = Field(ge=0, le=1)
    """Two-sided, of the paired permutation test."""


class ArmResult(Report):
    """One agent of one arm."""

    arm: str
    """Name of the arm and of its run group."""
    agent: str
    """Agent id."""
    model: str | None
    """The model asked for, where one was."""
    directory: Text | None
    """The run group's directory."""
    asked: int
    """Runs asked for."""
    graded: int
    """Runs with a verdict; the others count as runs without a medal."""
    any_medal_percentage: Estimate
    """Competitions with a medal, mean and standard error over the seeds."""
    valid_submission_percentage: Percent
    """Runs with a valid submission, in percent of those asked for."""
    pass_at_k: tuple[PassAtK, ...]
    """By k; empty for a single seed."""
    cost: CostFigures
    """Money, tokens, steps and time."""
    gpu_hours: float | None = Field(default=None, ge=0)
    """GPU-hours of the runs where they were recorded; None: nowhere."""
    versus: ArmDifference | None = None
    """Against the baseline, where the study has one and both have competitions in common."""


class StudyReport(Report):
    """report.json of a study, and what `mleb sweep --json` gives."""

    format_version: Literal[1] = 1
    """Version of this format."""
    created_at: str
    """UTC, ISO 8601."""
    study: str
    """Its name."""
    title: Text = ""
    """What it asks."""
    arms: tuple[ArmResult, ...]
    """The arms that were begun, in the order of the file, an entry for each agent."""
    not_begun: tuple[str, ...] = ()
    """Arms that have no run group yet."""


def study_report(
    study: str,
    title: str,
    groups: Mapping[str, ReportWithFigures],
    *,
    baseline: str | None = None,
    not_begun: tuple[str, ...] = (),
) -> StudyReport:
    """Bring the arms of a study together.

    Args:
        study: its name.
        title: what it asks.
        groups: reports by arm, in the order that is shown.
        baseline: the arm that the others are compared with.
        not_begun: arms without a group.
    """
    results = [
        _result(arm, report, figures, groups, baseline) for arm, report in groups.items() for figures in report.figures
    ]
    return StudyReport(created_at=now(), study=study, title=title, arms=tuple(results), not_begun=not_begun)


def passes_shown(passes: tuple[PassAtK, ...]) -> str:
    """`@1 16.9, @2 22.0, @4 28.1`: powers of two and the last; "" for none."""
    last = len(passes)
    return ", ".join(f"@{p.k} {p.percentage:.1f}" for p in passes if p.k.bit_count() == 1 or p.k == last)


def study_markdown(report: StudyReport) -> str:
    """The same for people."""
    lines = [f"# Study {markdown(report.study)}", ""]
    if report.title:
        lines += [markdown(report.title), ""]
    header = (
        "arm",
        "agent",
        "graded",
        "any medal %",
        "pass@k %",
        "difference",
        "US dollars",
        "tokens",
        "steps",
        "hours",
    )
    lines += [f"| {' | '.join(header)} |", "|" + " --- |" * len(header)]
    for arm in report.arms:
        mean, error = arm.any_medal_percentage.mean, arm.any_medal_percentage.standard_error
        cost = arm.cost
        cells = (
            markdown(arm.arm),
            markdown(arm.agent),
            f"{arm.graded} of {arm.asked}",
            f"{mean:.1f}" + (f" ± {error:.1f}" if error is not None else ""),
            passes_shown(arm.pass_at_k).replace("@", "\\@"),
            difference_shown(arm.versus),
            "" if cost.cost_usd is None else f"{'at least ' if cost.runs_unpriced else ''}{cost.cost_usd:.2f}",
            "" if cost.tokens is None else str(cost.tokens),
            "" if cost.steps is None else str(cost.steps),
            "" if cost.time_s is None else f"{cost.time_s / 3600:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    if report.not_begun:
        lines += ["", f"Not begun: {', '.join(map(markdown, report.not_begun))}"]
    return "\n".join(lines) + "\n"


def difference_shown(versus: ArmDifference | None) -> str:
    """`-3.1 (-7.0 to +0.9, p = 0.120)`; "" for none."""
    if versus is None:
        return ""
    interval = f"{versus.interval[0]:+.1f} to {versus.interval[1]:+.1f}, " if versus.interval else ""
    return f"{versus.difference:+.1f} ({interval}p = {versus.p_value:.3f})"


def _result(
    arm: str,
    report: ReportWithFigures,
    figures: AgentFigures,
    groups: Mapping[str, ReportWithFigures],
    baseline: str | None,
) -> ArmResult:
    result = next(result for result in report.agents if result.agent == figures.agent)
    used = [run.resources.gpu_hours for run in report.runs if run.key.agent == figures.agent and run.resources]
    return ArmResult(
        arm=arm,
        agent=figures.agent,
        model=report.group.model,
        directory=report.directory,
        asked=figures.asked,
        graded=figures.graded,
        any_medal_percentage=result.any_medal_percentage,
        valid_submission_percentage=result.valid_submission_percentage.mean,
        pass_at_k=figures.pass_at_k,
        cost=figures.cost,
        gpu_hours=round(sum(used), 5) if used else None,
        versus=None if baseline in (None, arm) else _versus(report, figures.agent, groups, str(baseline)),
    )


def _versus(
    report: ReportWithFigures, agent: str, groups: Mapping[str, ReportWithFigures], baseline: str
) -> ArmDifference | None:
    """The comparison with the same agent of the baseline, or with its only one."""
    if (base := groups.get(baseline)) is None:
        return None
    others = base.group.agents
    if agent not in others and len(others) > 1:
        return None
    try:
        found = compare(report, agent, base, agent if agent in others else others[0])
    except MlebError:  # nothing in common
        return None
    return ArmDifference(baseline=baseline, difference=found.difference, interval=found.interval, p_value=found.p_value)
