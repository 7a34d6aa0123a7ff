"""Agents as rows of the published leaderboard, in Markdown."""

from mleb_core.report.models import Estimate
from mleb_core.report.statistics.published import PublishedReport, PublishedRow
from mleb_core.report.text import markdown

__all__ = ["HEADER", "caveats", "figure", "to_leaderboard"]

HEADER = (
    "Agent",
    "LLM(s) used",
    "Low == Lite (%)",
    "Medium (%)",
    "High (%)",
    "All (%)",
    "Running Time (hours)",
    "Date",
)
"""The columns of the public leaderboard that a group can fill."""


def to_leaderboard(report: PublishedReport) -> str:
    """A Markdown table with a row for each agent, any-medal percentages as mean ± standard error, two decimals.

    A column that the group has no competition of is "-". Below the table stands, for each row, what it rests on.
    """
    lines = [f"| {' | '.join(HEADER)} |", "|" + "---|" * len(HEADER)]
    for row in report.rows:
        figures = {result.split: result.any_medal_percentage for result in row.splits}
        cells = [
            markdown(row.agent),
            markdown(row.model) if row.model else "-",
            *(figure(figures.get(split)) for split in ("low", "medium", "high", "all")),
            f"{row.hours:g}" if row.hours is not None else "-",
            markdown(row.date),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    notes = [f"- {markdown(line, 2000)}" for row in report.rows for line in caveats(row)]
    return "\n".join([*lines, *(["", *notes] if notes else [])]) + "\n"


def figure(estimate: Estimate | None) -> str:
    """Mean ± standard error, two decimals; the mean alone for a single seed."""
    if estimate is None:
        return "-"
    if estimate.standard_error is None:
        return f"{estimate.mean:.2f}"
    return f"{estimate.mean:.2f} ± {estimate.standard_error:.2f}"


def caveats(row: PublishedRow) -> list[str]:
    """A line for each thing that a reader of the row has to know: what it rests on, and where it differs."""
    lines = []
    for result in row.splits:
        if result.any_medal_percentage is None:
            lines.append(f"{row.agent}, {result.split}: the group did not ask for it")
            continue
        lines.append(
            f"{row.agent}, {result.split}: rests on {result.graded} of {result.runs} runs "
            f"({result.competitions} competitions, {result.seeds} seeds)"
            + (f"; missing, counted as without a medal: {result.padded}" if result.padded else "")
        )
        if result.split == "asked":
            lines.append(f"{row.agent}: on none of the published splits; the competitions that were asked for stand in")
    if any(edition != 1 for edition in row.editions):
        editions = ", ".join(map(str, row.editions))
        lines.append(f"{row.agent}: editions {editions}; what is published was measured on edition 1")
    if row.imported is not None:
        lines.append(f"{row.agent}: imported from {row.imported}")
    return lines
