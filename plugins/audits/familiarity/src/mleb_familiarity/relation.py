"""Whether scores go with familiarity: Spearman's rank correlation with a bootstrap interval."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["DRAWS", "LEAST", "SEED", "Relation", "relation"]

LEAST = 4
"""Fewer competitions have no interval worth the name."""
DRAWS = 10_000
SEED = 20241009


@dataclass(frozen=True)
class Relation:
    """Of pairs (familiarity, score), one for each competition."""

    competitions: int
    """How many."""
    rho: float | None
    """Spearman's rank correlation, ties sharing their mean rank; None for fewer than 3, or a side that is constant."""
    p_value: float | None
    """Two-sided, of no correlation, by Student's t with n - 2 degrees of freedom; None as `rho`."""
    interval: tuple[float, float] | None
    """95 % percentile bootstrap over competitions; None for fewer than 4, or as `rho`."""


def relation(pairs: Sequence[tuple[float, float]], *, draws: int = DRAWS, seed: int = SEED) -> Relation:
    """Spearman's rank correlation of pairs.

    Args:
        pairs: familiarity and score.
        draws: samples of the bootstrap. Each draws as many competitions as there are, with replacement; those in which
            a side is constant have no correlation and are left out.
        seed: of NumPy's PCG64.
    """
    import numpy as np
    from scipy import stats

    count = len(pairs)
    values = np.asarray(pairs, dtype=float).reshape(count, 2)
    if count < 3 or any(len(np.unique(values[:, side])) < 2 for side in (0, 1)):
        return Relation(count, None, None, None)
    result = stats.spearmanr(values[:, 0], values[:, 1])
    interval = None
    if count >= LEAST:
        drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
        ranks = [stats.rankdata(values[drawn, side], axis=1) for side in (0, 1)]
        centred = [one - one.mean(axis=1, keepdims=True) for one in ranks]
        spread = np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))
        rhos = (centred[0] * centred[1]).sum(axis=1)[spread > 0] / spread[spread > 0]
        low, high = np.quantile(rhos, [0.025, 0.975])
        interval = (float(low), float(high))
    return Relation(count, float(result.statistic), float(result.pvalue), interval)
