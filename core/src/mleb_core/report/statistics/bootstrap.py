"""Intervals without an assumption on the distribution, by drawing again from what was seen."""

from collections.abc import Sequence
from typing import Any

__all__ = ["DRAWS", "SEED", "bootstrap_interval"]

DRAWS = 10_000
"""Samples that are drawn."""
SEED = 20241009
"""Of the generator: the same runs give the same interval."""
_AT_ONCE = 1_000_000


def bootstrap_interval(
    rows: Sequence[Sequence[float]], confidence: float = 0.95, *, draws: int = DRAWS, seed: int = SEED
) -> tuple[float, float] | None:
    """Two-level bootstrap of the mean over competitions of the means over seeds, percentile interval.

    A sample draws as many competitions as there are, with replacement, and for each drawn competition as many of its
    seeds as there are, with replacement; its value is the mean over the drawn competitions of the mean over the drawn
    seeds. The interval reaches from the (1 - confidence) / 2 to the (1 + confidence) / 2 quantile of the values (linear
    interpolation). Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979); for two
    levels Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8. Unlike Student's t over
    seeds it takes competitions as drawn from many that might have been asked, so it is wider.

    Args:
        rows: competitions x seeds, equally long rows; 0 / 1 for medals, -1 / 0 / 1 for differences of them.
        confidence: between 0 and 1.
        draws: samples.
        seed: of the generator (NumPy's PCG64).

    Returns:
        The two ends, in the unit of `rows`; None for fewer than two competitions, over which nothing can be drawn.

    Raises:
        ValueError: rows of different lengths or without a seed, no draws, or a confidence not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, got {confidence}")
    if draws < 1:
        raise ValueError(f"at least one draw is needed, got {draws}")
    if len({len(row) for row in rows}) > 1 or any(not row for row in rows):
        raise ValueError("every competition needs the same seeds, and at least one")
    if len(rows) < 2:
        return None
    import numpy  # 100 ms; a report without intervals does without

    values = numpy.asarray(rows, dtype=float)
    competitions, seeds = values.shape
    generator = numpy.random.default_rng(seed)
    means: list[Any] = []
    left = draws
    while left:  # in parts, so that many competitions and seeds take no more memory than few
        part = min(left, max(1, _AT_ONCE // values.size))
        drawn = generator.integers(competitions, size=(part, competitions, 1))
        repeated = generator.integers(seeds, size=(part, competitions, seeds))
        means.append(values[drawn, repeated].mean(axis=(1, 2)))
        left -= part
    low, high = numpy.quantile(numpy.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
