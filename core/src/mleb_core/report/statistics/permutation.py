"""Is a difference between two agents more than chance?"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from mleb_core.report.statistics.bootstrap import SEED

__all__ = ["PermutationTest", "paired_permutation_test"]

MOST_SUMS = 20_000
"""Different sums up to which the test is exact."""
DRAWS = 100_000
"""Sign patterns that are drawn where it is not."""


@dataclass(frozen=True)
class PermutationTest:
    """What a paired permutation test gave."""

    p_value: float
    """Two-sided: how probable a difference at least as large is, were the agents equal."""
    method: Literal["exact", "monte-carlo"]
    """Whether all sign patterns were counted, or some drawn."""
    draws: int | None
    """Sign patterns drawn; None for an exact test."""


def paired_permutation_test(
    differences: Sequence[float], *, most_sums: int = MOST_SUMS, draws: int = DRAWS, seed: int = SEED
) -> PermutationTest:
    """Two-sided sign-flip test of paired differences (Fisher, "The Design of Experiments", 1935, section 21).

    Were the two agents equal, then each pair's difference could as well have had the other sign. p is the share of all
    2^n sign patterns whose sum is, in absolute value, at least that which was seen. All patterns are counted exactly,
    by the sums that they give, so long as there are at most `most_sums` different ones; for differences that are whole
    numbers, such as medals, that is always. Otherwise `draws` patterns are drawn and
    p = (b + 1) / (draws + 1), b of them at least as large (Phipson and Smyth, Statistical Applications in Genetics and
    Molecular Biology 9, 2010), so that p is never 0.

    Args:
        differences: one finite number a pair; the unit is that which could have been exchanged, here a competition.
        most_sums: where exact counting ends.
        draws: sign patterns to draw beyond that.
        seed: of the generator (NumPy's PCG64).

    Raises:
        ValueError: no pairs, or a number that is not finite.
    """
    if not differences:
        raise ValueError("a permutation test needs at least one pair")
    try:
        exact = [Fraction(value) for value in differences if value != 0]
    except (OverflowError, ValueError):
        raise ValueError("differences are finite numbers") from None
    scale = math.lcm(*(value.denominator for value in exact))  # whole numbers: sums of them are exact, and fast
    whole = [int(value * scale) for value in exact]
    seen, sizes = abs(sum(whole)), [abs(value) for value in whole]
    counts: dict[int, int] = {0: 1}
    for size in sizes:
        spread: dict[int, int] = defaultdict(int)
        for total, count in counts.items():
            spread[total + size] += count
            spread[total - size] += count
        counts = spread
        if len(counts) > most_sums:
            return _drawn([float(Fraction(size, scale)) for size in sizes], float(Fraction(seen, scale)), draws, seed)
    extreme = sum(count for total, count in counts.items() if abs(total) >= seen)
    return PermutationTest(float(Fraction(extreme, 2 ** len(sizes))), "exact", None)


def _drawn(sizes: Sequence[float], seen: float, draws: int, seed: int) -> PermutationTest:
    import numpy

    values = numpy.asarray(sizes)
    generator = numpy.random.default_rng(seed)
    extreme, left = 0, draws
    tolerance = 1e-9 * float(values.sum())  # equal sums may differ in their last digits
    while left:
        part = min(left, max(1, 4_000_000 // len(values)))
        signs = 2 * generator.integers(2, size=(part, len(values))) - 1
        extreme += int((abs(signs @ values) >= seen - tolerance).sum())
        left -= part
    return PermutationTest((extreme + 1) / (draws + 1), "monte-carlo", draws)
