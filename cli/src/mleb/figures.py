"""Figures as people read them: what an agent's runs took, comparisons, published results."""

from collections.abc import Sequence

from mleb.output import clean, print_line
from mleb.render import show_table
from mleb.units import format_count, format_duration
from mleb_core.report.leaderboard_row import caveats, figure
from mleb_core.report.standings import Against
from mleb_core.report.statistics.comparison import Comparison
from mleb_core.report.statistics.models import AgentFigures, CostFigures, ReportWithFigures
from mleb_core.report.statistics.published import SPLITS, PublishedReport

__all__ = ["show_against", "show_comparison", "show_figures", "show_published", "used"]

SHOWN_TIMES = 8
"""Points of score over time that a line shows; --json has all."""


def show_figures(reports: Sequence[ReportWithFigures]) -> None:
    """Interval, pass@k, cost, time and effort of each agent, then medals over time, where there are any."""
    rows: list[list[object]] = []
    several = len(reports) > 1
    for report in reports:
        for agent in report.figures:
            row: list[object] = [
                agent.agent,
                f"{agent.graded} of {agent.asked}",
                _interval(agent.any_medal_bootstrap),
                _passes(agent),
                _time(agent.cost),
                _money(agent.cost),
                used(agent.cost),
            ]
            rows.append([report.group.name, *row] if several else row)
    columns = [
        "agent",
        "rests on",
        "any medal %, 95 % bootstrap",
        "pass@k %",
        "time per medal",
        "cost per medal",
        "used",
    ]
    print_line()
    show_table(["group", *columns] if several else columns, rows)
    for report in reports:
        for agent in report.figures:
            if agent.over_time:
                points = agent.over_time[-SHOWN_TIMES:]
                shown = ", ".join(f"{p.any_medal_percentage:.1f} % at {format_duration(p.elapsed_s)}" for p in points)
                print_line(
                    f"{clean(agent.agent)}, any medal over time: {shown} "
                    f"(snapshots of {agent.runs_with_snapshots} of {agent.asked} runs)"
                )
        if report.group.imported is not None:
            print_line(f"{clean(report.group.name)}: imported from {clean(report.group.imported)}; no ledger")


def show_comparison(comparison: Comparison) -> None:
    """The competitions, then the difference and what it rests on."""
    show_table(
        ["competition", "A medals", "B medals", "A graded", "B graded", "difference"],
        [
            [c.competition, c.medals_a, c.medals_b, c.graded_a, c.graded_b, f"{c.difference:+.1f}"]
            for c in comparison.competitions
        ],
    )
    print_line()
    show_table(
        ["", "agent", "group", "any medal %", "graded", "missing"],
        [
            [name, side.agent, side.group, figure(side.any_medal_percentage), side.graded, side.missing]
            for name, side in (("A", comparison.a), ("B", comparison.b))
        ],
    )
    interval = (
        f"95 % interval {comparison.interval[0]:+.1f} to {comparison.interval[1]:+.1f} (paired bootstrap)"
        if comparison.interval
        else "no interval from a single competition"
    )
    how = "exact" if comparison.p_method == "exact" else f"{comparison.p_draws} draws"
    print_line(f"A - B: {comparison.difference:+.1f} points, {interval}, p = {_p(comparison)} (permutation, {how})")
    print_line(
        f"rests on {comparison.both_graded} of {comparison.runs} pairs of runs with a verdict on both sides "
        f"({len(comparison.competitions)} competitions, {len(comparison.seeds)} seeds); "
        f"A is better on {comparison.a_better} competitions, B on {comparison.b_better}, equal on {comparison.equal}"
    )
    if comparison.a.missing or comparison.b.missing:
        print_line("runs without a verdict count as runs without a medal")
    for name, side in (("A", comparison.a), ("B", comparison.b)):
        if side.not_compared:
            print_line(f"not compared, only {name} was asked: {', '.join(map(clean, side.not_compared))}")
        if side.seeds_not_compared:
            print_line(f"not compared, seeds that only {name} has: {', '.join(map(str, side.seeds_not_compared))}")
        if side.imported is not None:
            print_line(f"{name} was imported from {clean(side.imported)}")


def show_published(report: PublishedReport) -> None:
    """Agents by the published aggregation, and what each figure rests on."""
    own = any(result.split == "asked" for row in report.rows for result in row.splits)
    splits = [*SPLITS, *(["asked"] if own else [])]
    rows = []
    for row in report.rows:
        found = {result.split: result.any_medal_percentage for result in row.splits}
        rows.append([row.group, row.agent, row.model or "-", *(figure(found.get(split)) for split in splits)])
    show_table(["group", "agent", "model", *(f"{split} %" for split in splits)], rows)
    for row in report.rows:
        for line in caveats(row):
            print_line(clean(line))


def show_against(rows: Sequence[Against]) -> None:
    """Each agent beside a published result."""
    shown: list[list[object]] = []
    for row in rows:
        for column in row.columns:
            mean, error = column.published
            difference = "-" if column.difference is None else f"{column.difference:+.2f}"
            if column.difference is not None and column.difference_standard_error is not None:
                difference += f" ± {column.difference_standard_error:.2f}"
            shown.append([
                row.agent, column.split, figure(column.ours), f"{mean:.2f} ± {error:.2f}", difference,
                f"{column.graded} of {column.runs}" if column.runs else "-",
            ])  # fmt: skip
    standing = rows[0].standing if rows else ""
    show_table(["agent", "split", "ours %", f"{standing} %", "difference", "rests on"], shown)
    if all(column.ours is None for row in rows for column in row.columns):
        print_line("no figure in common: the published splits low, medium, high and all were not asked for")


def used(cost: CostFigures) -> str:
    """What all runs of an agent used of models, and their steps: `1.2M tokens, $3.40, 120 steps`."""
    parts = [f"{format_count(cost.tokens)} tokens"] if cost.tokens else []
    if cost.tokens and cost.cost_usd is not None:
        priced = cost.cost_usd > 0 or not cost.runs_unpriced
        parts.append(f"{'at least ' if cost.runs_unpriced else ''}${cost.cost_usd:.2f}" if priced else "price unknown")
    if cost.steps is not None:
        parts.append(f"{cost.steps} step{'' if cost.steps == 1 else 's'}")
    return ", ".join(parts) or "-"


def _p(comparison: Comparison) -> str:
    return f"{comparison.p_value:.2g}" if comparison.p_value < 0.001 else f"{comparison.p_value:.3f}"


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"


def _passes(agent: AgentFigures) -> str:
    return ", ".join(f"@{p.k} {p.percentage:.1f}" for p in agent.pass_at_k) or "-"


def _time(cost: CostFigures) -> str:
    if cost.time_s is None:
        return "-"
    value = "no medal" if cost.time_s_per_medal is None else format_duration(cost.time_s_per_medal)
    return f"{value} ({cost.runs_with_time} runs)"


def _money(cost: CostFigures) -> str:
    if cost.cost_usd is None:
        return "-"
    least = "at least " if cost.runs_unpriced else ""
    value = "no medal" if cost.cost_usd_per_medal is None else f"{least}${cost.cost_usd_per_medal:.2f}"
    return f"{value} ({cost.runs_with_usage} runs)"
