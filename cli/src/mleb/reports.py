"""Reports as people read them: tables and the lines below them."""

from collections.abc import Sequence

from mleb.output import clean, print_line
from mleb.render import show_number, show_table, verdict
from mleb.units import format_count, format_duration
from mleb_core.report.models import CompetitionReport, Estimate, GroupReport, RunReport
from mleb_core.run import RunGroup, RunKey

__all__ = ["show_competition_report", "show_grading_report", "show_group_reports", "show_plan"]

RUN_COLUMNS = ["competition", "agent", "seed", "status", "time", "score", "medal", "note"]
EFFORT_COLUMNS = ["steps", "tokens", "US $"]
"""Beside the time, where an agent of the group used a model or told its steps."""


def show_competition_report(report: CompetitionReport) -> None:
    """One graded submission."""
    direction = "lower" if report.is_lower_better else "higher"
    others = _others(report)
    standing = f"{report.rank} of {report.teams} {others}, percentile {report.percentile:.1f}" if report.rank else "-"
    rows = [
        ["competition", report.label],
        ["submission", report.submission_path],
        ["result", verdict(report)],
        ["score", f"{show_number(report.score)} ({direction} is better)"],
        ["medal", report.medal],
        ["leaderboard", others],
        ["above median", "yes" if report.above_median else "no"],
        ["place", standing],
        [
            "gold, silver, bronze",
            ", ".join(map(show_number, (report.gold_threshold, report.silver_threshold, report.bronze_threshold))),
        ],
        ["median", show_number(report.median_threshold)],
        *(["known issue", issue] for issue in report.known_issues),
    ]
    show_table(["what", "value"], rows)


def show_grading_report(reports: Sequence[CompetitionReport]) -> None:
    """Graded submissions, a line each."""
    columns = ["competition", "score", "medal", "above median", "result", "submission"]
    rows = [
        [r.label, show_number(r.score), r.medal, "yes" if r.above_median else "no", verdict(r), r.submission_path]
        for r in reports
    ]
    show_table(columns, rows)
    medals = sum(report.any_medal for report in reports)
    valid = sum(report.valid_submission for report in reports)
    print_line(f"{len(reports)} submissions: {valid} valid, {medals} with a medal")


def show_plan(group: RunGroup, keys: Sequence[RunKey]) -> None:
    """What a run group would do: the runs that it has, or that are left of it."""
    show_table(["competition", "agent", "seed"], [[key.competition, key.agent, key.seed] for key in keys])
    limits = group.limits
    memory = f", {limits.memory_bytes / 1024**3:.1f} GiB" if limits.memory_bytes else ""
    print_line(
        f"{len(keys)} runs, {group.workers} at a time on {group.runner}, at most "
        f"{format_duration(limits.time_s)}{memory} each; nothing was started (--dry-run)"
    )


def show_group_reports(reports: Sequence[GroupReport]) -> None:
    """Each group's runs, then all agents with their figures."""
    for report in reports:
        effort = any(run.usage is not None for run in report.runs)
        columns = [*RUN_COLUMNS[:5], *EFFORT_COLUMNS, *RUN_COLUMNS[5:]] if effort else RUN_COLUMNS
        show_table(columns, [_run_row(run, effort) for run in _with_missing(report)], title=report.group.name)
        print_line()
    columns = ["agent", "runs", "graded", "valid %", "above median %", "gold %", "silver %", "bronze %", "any medal %"]
    if len(reports) > 1:
        columns.insert(0, "group")
    rows: list[list[object]] = []
    for report in reports:
        for agent in report.agents:
            shares = (
                agent.valid_submission_percentage,
                agent.above_median_percentage,
                agent.gold_percentage,
                agent.silver_percentage,
                agent.bronze_percentage,
                agent.any_medal_percentage,
            )
            row: list[object] = [agent.agent, agent.counts.asked, agent.counts.graded, *map(_estimate, shares)]
            rows.append([report.group.name, *row] if len(reports) > 1 else row)
    show_table(columns, rows)
    if missing := sum(report.counts.missing for report in reports):
        print_line(f"{missing} runs have no result; they count as runs without a medal")
    if cancelled := sum(report.counts.cancelled for report in reports):
        print_line(f"{cancelled} runs were cancelled; mleb cancel --undo has them run again")
    modelled = {
        run.key.competition: None
        for report in reports
        for run in report.runs
        if run.competition_report is not None and run.competition_report.leaderboard_kind != "humans"
    }
    if modelled:
        print_line(f"medals against reference models, not humans: {', '.join(map(clean, modelled))}")
    for report in reports:
        if any(edition != 1 for edition in report.editions):
            editions = ", ".join(map(str, report.editions))
            print_line(f"{clean(report.group.name)}: editions {editions}; edition 1 is as published")
    for issue, labels in _by_issue(reports).items():
        print_line(f"known issue of {', '.join(map(clean, labels))}: {clean(issue)}")


def _by_issue(reports: Sequence[GroupReport]) -> dict[str, list[str]]:
    """Competitions by known issue: what several competitions or groups share is said once."""
    found: dict[str, list[str]] = {}
    for report in reports:
        for label, issues in report.known_issues.items():
            for issue in issues:
                labels = found.setdefault(issue, [])
                labels += [] if label in labels else [label]
    return found


def _with_missing(report: GroupReport) -> list[RunReport | RunKey]:
    """All runs in the order asked for; the key alone where there is no report."""
    found: dict[RunKey, RunReport | RunKey] = {key: key for key in report.group.run_keys()}
    found.update({run.key: run for run in report.runs})
    return list(found.values())


def _run_row(run: RunReport | RunKey, effort: bool) -> list[object]:
    """Args: effort: with EFFORT_COLUMNS."""
    if isinstance(run, RunKey):
        between = ["-"] * len(EFFORT_COLUMNS) if effort else []
        return [run.competition, run.agent, run.seed, "missing", "-", *between, "-", "-", "no result"]
    graded = run.competition_report
    runtime = format_duration(run.runtime_s) if run.runtime_s is not None else "-"
    score = show_number(graded.score) if graded else "-"
    notes = [run.message] if run.message else []
    if graded is not None and not graded.valid_submission and verdict(graded) not in run.message:
        notes.append(verdict(graded))
    return [
        run.key.competition, run.key.agent, run.key.seed, run.status.value, runtime, *(_effort(run) if effort else ()),
        score, graded.medal if graded else "-", "; ".join(notes),
    ]  # fmt: skip


def _effort(run: RunReport) -> list[object]:
    use = run.usage
    if use is None:
        return ["-"] * len(EFFORT_COLUMNS)
    cost = f"{use.cost_usd:.2f}" if use.cost_usd is not None else "?"
    return [use.steps if use.steps is not None else "-", format_count(use.tokens), cost]


def _others(report: CompetitionReport) -> str:
    """Whose scores the medals are measured by."""
    return report.leaderboard_kind.replace("-", " ")


def _estimate(estimate: Estimate) -> str:
    error = "" if estimate.standard_error is None else f" ± {estimate.standard_error:.1f}"
    return f"{estimate.mean:.1f}{error}"
