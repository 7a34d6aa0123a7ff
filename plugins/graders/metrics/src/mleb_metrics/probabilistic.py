"""Metrics of predicted probabilities: log losses, divergence, probabilistic F1, Laplace log likelihood.

Logarithms are natural. Probabilities are clipped to [eps, 1 - eps] before the logarithm and never rescaled.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_metrics.arrays import Floats, as_columns, as_row

__all__ = [
    "EPS",
    "kl_divergence",
    "laplace_log_likelihood",
    "log_loss",
    "multi_class_log_loss",
    "multi_label_log_loss",
    "probabilistic_f1",
    "weighted_multi_label_log_loss",
]

EPS = float(np.finfo(np.float64).eps)
"""2.220446049250313e-16, scikit-learn's clip for float64."""


def log_loss(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, eps: float = EPS) -> float:
    """Binary log loss: mean of -(y ln p + (1 - y) ln(1 - p)).

    Args:
        truth: 0 or 1, or a probability, shape (n,).
        predicted: probability of 1, shape (n,).
        eps: clip.

    Source: scikit-learn `log_loss`.
    """
    return float(np.mean(_binary_losses(*as_row(truth, predicted), eps)))


def multi_class_log_loss(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, eps: float = EPS) -> float:
    """Log loss of k exclusive classes: mean over rows of -sum over classes of y ln p.

    Args:
        truth: 1 in the column of the true class, 0 elsewhere (or probabilities), shape (n, k).
        predicted: probabilities, shape (n, k); rows are not rescaled (the grader option `row_sum` checks sums).
        eps: clip.

    Source: scikit-learn `log_loss`.
    """
    a, b = as_columns(truth, predicted)
    return float(-np.mean(np.sum(a * np.log(_clip(b, eps)), axis=1)))


def multi_label_log_loss(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, eps: float = EPS) -> float:
    """Mean over k labels, hence over all cells, of the binary log loss; truth (0 or 1) and predictions (n, k)."""
    return float(np.mean(_binary_losses(*as_columns(truth, predicted), eps)))


def weighted_multi_label_log_loss(
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    groups: npt.ArrayLike,
    labels: npt.ArrayLike,
    weights: Mapping[str, Sequence[float]],
    eps: float = 1e-15,
) -> float:
    """Binary log losses weighted by label and truth, averaged in each group, then over groups.

    A group's loss is sum(w * loss) / sum(w) over its rows; the score is the plain mean over groups.

    Args:
        truth: 0 or 1, one row for each group and label, shape (n,).
        predicted: probability of 1, shape (n,).
        groups: what a row belongs to (a study, a patient), shape (n,).
        labels: name of each row's label, shape (n,).
        weights: by label name, or "*" for all others, the pair (weight where the truth is 0, where it is 1).
        eps: clip.

    Raises:
        GraderError: a label has no weight, or not a pair.

    Source: the evaluation of the RSNA 2022 cervical spine fracture challenge, weights normalised within each study.
    """
    a, b = as_row(truth, predicted)
    names, label = np.unique(np.asarray(labels).astype(str), return_inverse=True)
    pairs = [weights.get(str(name), weights.get("*")) for name in names]
    if any(pair is None or len(pair) != 2 for pair in pairs):
        raise GraderError(f'weights: a pair for each of the labels {", ".join(names)} (or "*") is expected')
    table = np.asarray(pairs, dtype=np.float64)
    weight = table[label, (a > 0.5).astype(np.int64)]
    _, group = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    sums = np.bincount(group, weights=weight * _binary_losses(a, b, eps))
    return float(np.mean(sums / np.bincount(group, weights=weight)))


def kl_divergence(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, eps: float = 1e-15) -> float:
    """Mean over rows of the Kullback-Leibler divergence sum over classes of p ln(p / q), with 0 where p is 0.

    Args:
        truth: votes or probabilities, shape (n, k); each row is divided by its sum to give p.
        predicted: q, shape (n, k), clipped and not rescaled.
        eps: clip of q.

    Raises:
        GraderError: a row of the answers has no votes.

    Source: Kullback and Leibler, Ann. Math. Stat. 22, 1951; scipy `rel_entr`.
    """
    a, b = as_columns(truth, predicted)
    votes = a.sum(axis=1, keepdims=True)
    if not (votes > 0).all():
        raise GraderError("a row of the answers has no votes, so it is no distribution")
    p = a / votes
    ratio = np.where(p > 0, p, 1) / np.where(p > 0, _clip(b, eps), 1)
    return float(np.mean(np.sum(p * np.log(ratio), axis=1)))


def probabilistic_f1(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """F1 with probabilities as fractions of a count; 0 where precision or recall is 0.

    Predictions are clipped to [0, 1]; cTP and cFP are their sums over positives and negatives; precision =
    cTP / (cTP + cFP), recall = cTP / number of positives; F = 2 precision recall / (precision + recall).

    Args:
        truth: 0 or 1, shape (n,).
        predicted: shape (n,).

    Raises:
        InvalidSubmissionError: every prediction is below 0.
        GraderError: the answers hold no positive.

    Source: Yacouby and Axman, Probabilistic extension of precision, recall and F1, Eval4NLP 2020.
    """
    a, b = as_row(truth, predicted)
    positive = a == 1
    if not positive.any():
        raise GraderError("probabilistic F1 is undefined: the answers hold no positive")
    if (b < 0).all():
        raise InvalidSubmissionError("every prediction is below 0; probabilities are expected")
    clipped = np.clip(b, 0, 1)
    hits = float(clipped[positive].sum())
    # 2PR / (P + R) with P = hits / sum and R = hits / positives.
    return 2 * hits / (float(clipped.sum()) + int(positive.sum())) if hits != 0 else 0.0


def laplace_log_likelihood(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, min_sigma: float = 70.0, max_error: float = 1000.0
) -> float:
    """Mean of -sqrt(2) d / s - ln(sqrt(2) s), with d = min(|truth - prediction|, max_error), s = max(sigma, min_sigma).

    Args:
        truth: the value, shape (n,), or (n, 2) of which the first column is the value.
        predicted: the value and its sigma, shape (n, 2); a missing sigma is 0, hence min_sigma.
        min_sigma: floor of sigma, in the unit of the value.
        max_error: cap of the error, in the unit of the value.

    Raises:
        GraderError: the answers lack a value in a row.

    Source: the evaluation of the OSIC pulmonary fibrosis challenge (the modified Laplace log likelihood).
    """
    b = np.asarray(predicted, dtype=np.float64)
    if b.ndim != 2 or b.shape[1] != 2:
        raise ValueError(f"predictions of shape (n, 2) expected, value and sigma; got {b.shape}")
    truth = np.asarray(truth, dtype=np.float64)
    value, guess = as_row(truth[:, 0] if truth.ndim == 2 else truth, b[:, 0])
    if np.isnan(value).any():
        raise GraderError("the answers lack a value in a row that is scored")
    sigma = np.maximum(np.where(np.isnan(b[:, 1]), 0, b[:, 1]), min_sigma)
    error = np.minimum(np.abs(value - guess), max_error)
    return float(np.mean(-np.sqrt(2) * error / sigma - np.log(np.sqrt(2) * sigma)))


def _clip(p: Floats, eps: float) -> Floats:
    return np.clip(p, eps, 1 - eps)


def _binary_losses(truth: Floats, predicted: Floats, eps: float) -> Floats:
    p = _clip(predicted, eps)
    return -(truth * np.log(p) + (1 - truth) * np.log(1 - p))
