"""Areas under the ROC curve. Ties count one half everywhere."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mleb_core.errors import GraderError
from mleb_metrics.arrays import Flags, Floats, as_columns, as_flags, as_row

__all__ = ["mean_column_wise_roc_auc", "roc_auc", "unintended_bias_auc", "weighted_auc"]


def roc_auc(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, positive: float = 1) -> float:
    """Area under the ROC curve: the chance that a positive row scores higher than a negative one, ties one half.

    Args:
        truth: classes as numbers, shape (n,).
        predicted: scores of any scale, shape (n,); nan gives nan.
        positive: the class that should score high; every other value is negative.

    Raises:
        GraderError: the answers hold one class only.

    Source: Hanley and McNeil, Radiology 143, 1982 (the Mann-Whitney statistic); scikit-learn `roc_auc_score`.
    """
    a, b = as_row(truth, predicted)
    return _area(as_flags(a, positive), b)


def mean_column_wise_roc_auc(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, positive: float = 1) -> float:
    """Plain mean over columns of `roc_auc`; truth and predictions of shape (n, k).

    Raises:
        GraderError: a column of the answers holds one class only.
    """
    a, b = as_columns(truth, predicted)
    return float(np.mean([_area(as_flags(a[:, j], positive), b[:, j]) for j in range(a.shape[1])]))


def weighted_auc(
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    positive: float = 1,
    edges: Sequence[float] = (0.0, 0.4, 1.0),
    weights: Sequence[float] = (2.0, 1.0),
) -> float:
    """Area under the ROC curve in bands of the true positive rate, each with a weight, scaled to reach 1.

    A band from lo to hi has the area between the curve, cut to lo <= TPR <= hi, and the line TPR = lo, over all FPR
    from 0 to 1; the curve is linear between its points. Score = sum(weight * area) / sum(weight * (hi - lo)).

    Args:
        truth: classes as numbers, shape (n,).
        predicted: scores of any scale, shape (n,); nan gives nan.
        positive: the class that should score high.
        edges: TPR at the ends of the bands, ascending from 0 to 1.
        weights: one a band.

    Raises:
        GraderError: the answers hold one class only.

    Source: the evaluation of the ALASKA2 steganalysis challenge (edges 0, 0.4, 1; weights 2, 1).
    """
    a, b = as_row(truth, predicted)
    flags = as_flags(a, positive)
    _check_classes(flags)
    if np.isnan(b).any():
        return float("nan")
    order = np.argsort(-b, kind="stable")
    last = np.append(np.flatnonzero(np.diff(b[order])), len(b) - 1)  # one point after each run of equal scores
    hits = np.cumsum(flags[order])[last]
    tpr = np.append(0.0, hits / hits[-1])
    misses = last + 1 - hits
    fpr = np.append(0.0, misses / misses[-1])
    total = 0.0
    for low, high, weight in zip(edges[:-1], edges[1:], weights, strict=True):
        total += weight * _band(fpr, tpr, low, high)
    return float(total / np.dot(weights, np.diff(edges)))


def unintended_bias_auc(
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    subgroups: npt.ArrayLike,
    threshold: float = 0.5,
    predicted_threshold: float | None = None,
    power: float = -5.0,
    overall_weight: float = 0.25,
) -> float:
    """ROC AUC overall, averaged with how well it holds up for comments that mention an identity.

    With y = truth >= threshold and for each subgroup g = mention >= threshold, three AUCs are taken: over g
    (subgroup); over g and not y, or not g and y (background positive, subgroup negative); over g and y, or not g and
    not y (background negative, subgroup positive). Each kind is averaged over subgroups by the generalised mean
    (mean(AUC^power))^(1/power), 0 where an AUC is 0. Score = overall_weight * AUC + (1 - overall_weight) / 3 * the sum
    of the three.

    Args:
        truth: degree of toxicity, shape (n,).
        predicted: scores of any scale, shape (n,).
        subgroups: degree to which each identity is mentioned, shape (n, k); nan is no mention.
        threshold: from where on truth and mention count.
        predicted_threshold: turn predictions into 0 and 1 at this value first (nan gives 0); None: take scores.
        power: exponent of the generalised mean; below 0, so that the worst subgroup weighs most.
        overall_weight: weight of the AUC over all rows.

    Raises:
        GraderError: one of the selections holds one class only in the answers.

    Source: Borkan et al., Nuanced metrics for measuring unintended bias, WWW 2019 companion, arXiv 1903.04561.
    """
    a, b = as_row(truth, predicted)
    toxic = a >= threshold
    groups = np.asarray(subgroups, dtype=np.float64)
    mentioned = (groups[:, None] if groups.ndim == 1 else groups) >= threshold
    if predicted_threshold is not None:
        b = (b >= predicted_threshold).astype(np.float64)
    differs = mentioned ^ toxic[:, None]
    means = []
    for kept in (mentioned, differs, ~differs):
        areas = np.array([_area(toxic[rows], b[rows]) for rows in kept.T])
        means.append(0.0 if (areas == 0).any() else float(np.mean(areas**power) ** (1 / power)))
    return overall_weight * _area(toxic, b) + (1 - overall_weight) / len(means) * sum(means)


def _area(flags: Flags, scores: Floats) -> float:
    """ROC AUC by ranks: (sum of the positives' mean ranks - P (P + 1) / 2) / (P N)."""
    _check_classes(flags)
    if np.isnan(scores).any():
        return float("nan")
    hit, last = _ordered(flags, scores)
    if last.all():  # no two are equal, so the rank is the place
        twice = 2 * int(np.flatnonzero(hit).sum() + hit.sum())
    else:
        ends = np.flatnonzero(last)
        below = np.append(0, ends[:-1] + 1)
        hits = np.diff(np.append(0, np.cumsum(hit)[ends]))
        twice = int(np.dot(hits, below + ends + 2))  # twice the mean rank is whole, so that the sum is exact
    positives = int(hit.sum())
    negatives = len(hit) - positives
    return (twice - positives * (positives + 1)) / (2 * positives * negatives)


def _ordered(flags: Flags, scores: Floats) -> tuple[Flags, Flags]:
    """The flags in ascending order of their scores, and where a run of equal scores ends, shape (n,) each."""
    if (scores >= 0).all():
        # A float's bits ascend as it does, and its sign's place is free for the flag: to sort numbers alone is quicker
        # than to sort places by them. Added to 0, -0.0 becomes 0.0.
        keys = ((scores + 0.0).view(np.uint64) << np.uint64(1)) | flags
        keys.sort()
        hit = (keys & np.uint64(1)).astype(bool)
        ordered = (keys >> np.uint64(1)).view(np.float64)
    else:
        order = np.argsort(scores)
        hit, ordered = flags[order], scores[order]
    last: Flags = np.ones(len(hit), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
    return hit, last


def _band(fpr: Floats, tpr: Floats, low: float, high: float) -> float:
    """Area right of the curve for TPR from low to high: the integral of 1 - FPR over TPR."""
    inside = (tpr >= low) & (tpr <= high)
    rates, false_rates = tpr[inside], fpr[inside]
    for edge, end in ((low, 0), (high, None)):
        # Only where no point lies on the edge: a horizontal run there has several FPR.
        if not (tpr == edge).any():
            place = len(rates) if end is None else end
            rates = np.insert(rates, place, edge)
            false_rates = np.insert(false_rates, place, np.interp(edge, tpr, fpr))
    return high - low - float(np.dot(np.diff(rates), (false_rates[1:] + false_rates[:-1]) / 2))


def _check_classes(flags: Flags) -> None:
    if flags.all() or not flags.any():
        raise GraderError(
            "ROC AUC is undefined: the answers hold one class only in a column or selection that is scored"
        )
