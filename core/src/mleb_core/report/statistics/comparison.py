"""Two agents compared on what both were asked, run by run of the same competition and seed."""

from collections.abc import Sequence
from typing import Literal

from mleb_core.errors import UsageError
from mleb_core.report.models import Estimate, GroupReport, Report
from mleb_core.report.statistics.basic import estimate, mean
from mleb_core.report.statistics.bootstrap import DRAWS, SEED, bootstrap_interval
from mleb_core.report.statistics.grid import MedalGrid, medal_grid
from mleb_core.report.statistics.permutation import paired_permutation_test

__all__ = ["ComparedCompetition", "ComparedSide", "Comparison", "compare"]


class ComparedSide(Report):
    """One of the two, on what both were asked."""

    group: str
    """Name of the run group."""
    agent: str
    """Agent id."""
    imported: str | None
    """Where the results were imported from; None for mleb's own."""
    graded: int
    """Runs with a verdict, of the compared ones."""
    missing: int
    """Runs without one; they count as runs without a medal."""
    any_medal_percentage: Estimate
    """On the compared competitions and seeds."""
    not_compared: tuple[str, ...]
    """Competitions that only this side was asked."""
    seeds_not_compared: tuple[int, ...]
    """Seeds that only this side was asked."""


class ComparedCompetition(Report):
    """One competition, both sides."""

    competition: str
    """Its label."""
    medals_a: int
    """Seeds with a medal, of A."""
    medals_b: int
    """Seeds with a medal, of B."""
    graded_a: int
    """Seeds with a verdict, of A."""
    graded_b: int
    """Seeds with a verdict, of B."""
    difference: float
    """Any-medal percentage of A minus that of B, in points."""


class Comparison(Report):
    """What `mleb compare --json` gives: A minus B."""

    format_version: Literal[1] = 1
    """Version of this format."""
    a: ComparedSide
    """The first."""
    b: ComparedSide
    """The second."""
    seeds: tuple[int, ...]
    """The seeds compared."""
    runs: int
    """Runs of each side that the figures rest on: competitions x seeds."""
    both_graded: int
    """Of these, those that have a verdict on both sides."""
    difference: float
    """Any-medal percentage of A minus that of B, in points."""
    interval: tuple[float, float] | None
    """95 % interval of the difference by a paired two-level bootstrap; None for a single competition."""
    bootstrap_draws: int
    """Samples drawn for it."""
    p_value: float
    """Two-sided p of the paired permutation test, competitions as units."""
    p_method: Literal["exact", "monte-carlo"]
    """Whether all sign patterns were counted, or some drawn."""
    p_draws: int | None
    """Sign patterns drawn; None for an exact test."""
    random_seed: int
    """Of what is drawn: the same runs give the same figures."""
    a_better: int
    """Competitions with more medals of A."""
    b_better: int
    """Competitions with more medals of B."""
    equal: int
    """Competitions with as many."""
    competitions: tuple[ComparedCompetition, ...]
    """In the order that A's group asked for them."""


def compare(a: GroupReport, agent_a: str, b: GroupReport, agent_b: str) -> Comparison:
    """Compare an agent of one group with an agent of another, or of the same.

    Runs are paired by (competition, seed), labels with their editions; what only one side was asked is named and left
    out. A run without a verdict counts as one without a medal. The difference is the mean over competitions of the
    mean over seeds of (medal of A - medal of B). Its interval: `bootstrap_interval` of the paired differences. p:
    `paired_permutation_test` of the competitions' sums over seeds; a competition's seeds change sides together, since
    they are no independent evidence on other competitions.

    Raises:
        UsageError: the two have no competition or no seed in common.
        UnknownIdError: a group did not ask for its agent.
    """
    left, right = medal_grid(a, agent_a), medal_grid(b, agent_b)
    competitions = tuple(label for label in left.competitions if label in set(right.competitions))
    seeds = tuple(sorted(set(left.seeds) & set(right.seeds)))
    if not competitions or not seeds:
        raise UsageError(f"{a.group.name} and {b.group.name} have no competition in common: nothing to compare")
    ours = MedalGrid(competitions, seeds, left.verdicts)
    theirs = MedalGrid(competitions, seeds, right.verdicts)
    rows = [
        [int(mine) - int(other) for mine, other in zip(row, others, strict=True)]
        for row, others in zip(ours.rows(), theirs.rows(), strict=True)
    ]
    sums = [sum(row) for row in rows]
    interval = bootstrap_interval(rows)
    test = paired_permutation_test(sums)
    return Comparison(
        a=_side(a, agent_a, left, ours),
        b=_side(b, agent_b, right, theirs),
        seeds=seeds,
        runs=ours.asked,
        both_graded=len(_cells(ours) & _cells(theirs)),
        difference=100 * mean([mean(row) for row in rows]),
        interval=(100 * interval[0], 100 * interval[1]) if interval else None,
        bootstrap_draws=DRAWS,
        p_value=test.p_value,
        p_method=test.method,
        p_draws=test.draws,
        random_seed=SEED,
        a_better=sum(total > 0 for total in sums),
        b_better=sum(total < 0 for total in sums),
        equal=sum(total == 0 for total in sums),
        competitions=tuple(
            _competition(label, row, ours, theirs) for label, row in zip(competitions, rows, strict=True)
        ),
    )


def _competition(label: str, row: Sequence[int], ours: MedalGrid, theirs: MedalGrid) -> ComparedCompetition:
    return ComparedCompetition(
        competition=label,
        medals_a=sum(ours.medal(label, seed) for seed in ours.seeds),
        medals_b=sum(theirs.medal(label, seed) for seed in ours.seeds),
        graded_a=sum((label, seed) in ours.verdicts for seed in ours.seeds),
        graded_b=sum((label, seed) in theirs.verdicts for seed in ours.seeds),
        difference=100 * mean(row),
    )


def _side(report: GroupReport, agent: str, whole: MedalGrid, part: MedalGrid) -> ComparedSide:
    return ComparedSide(
        group=report.group.name,
        agent=agent,
        imported=report.group.imported,
        graded=part.graded,
        missing=part.asked - part.graded,
        any_medal_percentage=estimate(part.seed_percentages()),
        not_compared=tuple(label for label in whole.competitions if label not in set(part.competitions)),
        seeds_not_compared=tuple(seed for seed in whole.seeds if seed not in set(part.seeds)),
    )


def _cells(grid: MedalGrid) -> set[tuple[str, int]]:
    return {(c, s) for c in grid.competitions for s in grid.seeds if (c, s) in grid.verdicts}
