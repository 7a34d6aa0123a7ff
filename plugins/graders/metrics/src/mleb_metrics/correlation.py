"""Correlations of numbers. An undefined correlation (a constant side) is 0; a value that is not finite gives nan."""

import numpy as np
import numpy.typing as npt

from mleb_metrics.arrays import Floats, as_columns, as_row

__all__ = ["mean_column_wise_spearman", "pearson", "spearman"]


def pearson(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Pearson's correlation coefficient; shape (n,). 0 where a side is constant.

    Source: scipy `pearsonr`.
    """
    return _pearson(*as_row(truth, predicted))


def spearman(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, ties sharing their mean rank; shape (n,).

    Source: scipy `spearmanr`.
    """
    return _spearman(*as_row(truth, predicted))


def mean_column_wise_spearman(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Plain mean over columns of `spearman`, a constant column counting 0; shape (n, k)."""
    a, b = as_columns(truth, predicted)
    return float(np.mean([_spearman(a[:, j], b[:, j]) for j in range(a.shape[1])]))


def _spearman(a: Floats, b: Floats) -> float:
    from scipy.stats import rankdata

    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    return _pearson(rankdata(a), rankdata(b))


def _pearson(a: Floats, b: Floats) -> float:
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    # Asked of the values: rounding leaves the deviations of a constant column a little off 0.
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    x, y = _direction(a), _direction(b)
    return float(np.clip(x @ y, -1.0, 1.0))


def _direction(values: Floats) -> Floats:
    """Deviations from the mean, scaled to length 1; scaled by the largest first, so that squares stay in range."""
    scaled = values / np.abs(values).max()
    away: Floats = scaled - scaled.mean()
    length = float(np.linalg.norm(away))
    return away / (length if length > 0 else 1.0)
