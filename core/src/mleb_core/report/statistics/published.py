"""The published aggregation, for comparison with the public leaderboard.

MLE-bench (arXiv 2410.07095, section 3) takes the any-medal percentage over all competitions of a split for each seed
and gives mean ± standard error over the seeds. Its leaderboard has a column for each complexity (Low, also called
Lite, Medium, High) and one for all 75. A row whose seeds are incomplete is filled up with failing runs.
"""

from collections.abc import Mapping, Sequence

from mleb_core.errors import UsageError
from mleb_core.report.models import Estimate, GroupReport, Report
from mleb_core.report.statistics.basic import estimate
from mleb_core.report.statistics.grid import MedalGrid, medal_grid

__all__ = ["SPLITS", "PublishedReport", "PublishedRow", "SplitResult", "published_report", "published_result"]

SPLITS = ("low", "medium", "high", "all")
"""The columns of the leaderboard, by our names of the splits."""


class SplitResult(Report):
    """One agent over one whole split."""

    split: str
    """Name of the split; "asked" stands for the competitions of a group that is on none of the published splits."""
    competitions: int
    """Competitions of the split."""
    seeds: int
    """Repetitions."""
    runs: int
    """Runs that the figure is taken over: competitions x seeds."""
    graded: int
    """Those of them with a verdict."""
    padded: int
    """Those without: missing, or never asked for. They count as runs without a medal."""
    any_medal_percentage: Estimate | None
    """Over the seeds; None where the group asked for no competition of the split, or, for "all", left one of low,
    medium and high out entirely."""


class PublishedRow(Report):
    """One agent of one group, as a row of the leaderboard."""

    group: str
    """Name of the run group."""
    agent: str
    """Agent id."""
    model: str | None
    """Model asked for, where it was told."""
    hours: float | None
    """Time limit of a run; None for imported runs, of which it is not known."""
    date: str
    """When the group was started, YYYY-MM-DD."""
    imported: str | None
    """Where the results were imported from; None for mleb's own."""
    editions: tuple[int, ...]
    """Editions of the competitions; only edition 1 is what the leaderboard was measured on."""
    splits: tuple[SplitResult, ...]
    """In the order of the columns."""


class PublishedReport(Report):
    """What `mleb report --method mle-bench --json` gives."""

    format_version: int = 1
    """Version of this format."""
    method: str = "mle-bench"
    """How the figures were taken."""
    rows: tuple[PublishedRow, ...]
    """Agents, groups in the order given."""


def published_result(
    grid: MedalGrid, split: str, competitions: Sequence[str], *, seeds: int | None = None
) -> SplitResult:
    """The any-medal percentage over a whole split: per seed, then mean and standard error (ddof=1) over the seeds.

    Every (competition, seed) of the split counts; a run that is missing, or was never asked for, counts as one without
    a medal. The seeds are those asked for, filled up with failing ones to `seeds`.

    Args:
        grid: the agent's medals, by competition label.
        split: its name, for the result.
        competitions: labels of all its competitions.
        seeds: least number of repetitions.

    Raises:
        UsageError: the group has more seeds than `seeds`: none is dropped.
        ValueError: no competitions.
    """
    if not competitions:
        raise ValueError(f"split {split} has no competitions")
    if seeds is not None and seeds < len(grid.seeds):
        raise UsageError(f"--seeds {seeds}: the group has {len(grid.seeds)} seeds, and none is left out")
    repetitions = tuple(range(seeds)) if seeds is not None else grid.seeds
    padded = MedalGrid(tuple(competitions), repetitions, grid.verdicts)
    return SplitResult(
        split=split,
        competitions=len(competitions),
        seeds=len(repetitions),
        runs=padded.asked,
        graded=padded.graded,
        padded=padded.asked - padded.graded,
        any_medal_percentage=estimate(padded.seed_percentages()),
    )


def published_report(
    reports: Sequence[GroupReport], splits: Mapping[str, Sequence[str]], *, seeds: int | None = None
) -> PublishedReport:
    """All agents of some groups by the published aggregation.

    A competition of a split is taken in the edition that the group asked for, edition 1 where it asked for several.

    Args:
        reports: of the groups.
        splits: competition ids of the splits `SPLITS`, as far as they are known.
        seeds: as in `published_result`.

    Raises:
        UsageError: a group has more seeds than `seeds`.
    """
    return PublishedReport(
        rows=tuple(_row(report, agent, splits, seeds) for report in reports for agent in report.group.agents)
    )


def _row(report: GroupReport, agent: str, splits: Mapping[str, Sequence[str]], seeds: int | None) -> PublishedRow:
    group = report.group
    grid = medal_grid(report, agent)
    labels: dict[str, str] = {}
    for label in sorted(group.competitions, key=lambda label: int(label.partition("@")[2] or 1), reverse=True):
        labels[label.partition("@")[0]] = label  # the lowest edition stays
    known = {split: ids for split in SPLITS if (ids := splits.get(split))}
    touched = {split for split, ids in known.items() if not labels.keys().isdisjoint(ids)}
    if not set(SPLITS[:3]) <= touched:
        touched.discard("all")
    results = []
    for split, ids in known.items():
        whole = published_result(grid, split, [labels.get(id, id) for id in ids], seeds=seeds)
        results.append(whole if split in touched else whole.model_copy(update={"any_medal_percentage": None}))
    if not touched:
        results.append(published_result(grid, "asked", group.competitions, seeds=seeds))
    return PublishedRow(
        group=group.name,
        agent=agent,
        model=group.model,
        hours=None if group.imported else round(group.limits.time_s / 3600, 4),
        date=group.created_at[:10],
        imported=group.imported,
        editions=report.editions,
        splits=tuple(results),
    )
