"""Errors of predicted numbers. All but the column-wise ones take (n,) or (n, k) and pool all cells."""

import numpy as np
import numpy.typing as npt

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_metrics.arrays import Floats, as_columns, as_floats, as_row

__all__ = ["group_mean_log_mae", "mae", "mean_column_wise_rmse", "mean_column_wise_rmsle", "r2", "rmse", "rmsle"]


def rmse(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Root mean squared error: sqrt(mean((t - p)²)) over all cells."""
    a, b = as_floats(truth, predicted)
    return float(np.sqrt(np.mean((a - b) ** 2)))


def mean_column_wise_rmse(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """MCRMSE: plain mean over columns of the root mean squared error; shape (n, k)."""
    a, b = as_columns(truth, predicted)
    return float(np.mean(np.sqrt(np.mean((a - b) ** 2, axis=0))))


def rmsle(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Root mean squared logarithmic error: `rmse` of ln(1 + t) and ln(1 + p).

    Raises:
        InvalidSubmissionError: a prediction is -1 or below. Values between -1 and 0 are taken.
        GraderError: a true value is -1 or below.
    """
    return rmse(*_logs(*as_floats(truth, predicted)))


def mean_column_wise_rmsle(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Plain mean over columns of `rmsle`; shape (n, k). Raises as `rmsle`."""
    return mean_column_wise_rmse(*_logs(*as_columns(truth, predicted)))


def mae(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, decimals: int | None = None) -> float:
    """Mean absolute error over all cells.

    Args:
        truth: shape (n,) or (n, k).
        predicted: same shape.
        decimals: round the score to this many decimals, halves to even; None: leave it.
    """
    a, b = as_floats(truth, predicted)
    error = float(np.mean(np.abs(a - b)))
    return error if decimals is None or not np.isfinite(error) else float(round(error, decimals))


def r2(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Coefficient of determination 1 - sum((t - p)²) / sum((t - mean t)²), plain mean over columns.

    A column of constant truth counts 1 where all predictions are right, 0 otherwise.

    Source: scikit-learn `r2_score`.
    """
    a, b = as_columns(truth, predicted)
    residual = np.sum((a - b) ** 2, axis=0)
    total = np.sum((a - a.mean(axis=0)) ** 2, axis=0)
    constant = np.ptp(a, axis=0) == 0
    scores = 1 - residual / np.where(constant, 1, total)
    return float(np.mean(np.where(constant, np.where(residual > 0, 0.0, 1.0) + 0 * residual, scores)))


def group_mean_log_mae(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, groups: npt.ArrayLike, floor: float | None = None
) -> float:
    """Plain mean over groups of the natural logarithm of the group's mean absolute error.

    Args:
        truth: shape (n,).
        predicted: shape (n,).
        groups: the group of each row, shape (n,).
        floor: smallest mean absolute error counted; None: only an error of exactly 0 is raised, to the smallest normal
            float64 (logarithm -708.396), so that the score stays finite.

    Source: the evaluation of Predicting Molecular Properties (CHAMPS), where the floor is 1e-9.
    """
    a, b = as_row(truth, predicted)
    _, group = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    errors = np.bincount(group, weights=np.abs(a - b)) / np.bincount(group)
    lowest = np.where(errors == 0, np.finfo(np.float64).tiny, errors) if floor is None else floor
    return float(np.mean(np.log(np.maximum(errors, lowest))))


def _logs(truth: Floats, predicted: Floats) -> tuple[Floats, Floats]:
    if (truth <= -1).any():
        raise GraderError("the answers hold a value of -1 or below, which has no ln(1 + t)")
    low = predicted <= -1
    if low.any():
        row = int(np.argmax(low.reshape(len(low), -1).any(axis=1)))
        raise InvalidSubmissionError(
            f"scored row {row + 1} in the order of the answers: {predicted[low][0]:g} has no ln(1 + p); "
            "predictions above -1 are expected"
        )
    return np.log1p(truth), np.log1p(predicted)
