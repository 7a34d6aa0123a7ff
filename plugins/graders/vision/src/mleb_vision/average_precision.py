"""Average precision: the area under a precision-recall curve, in the versions that competitions use."""

import numpy as np
import numpy.typing as npt

__all__ = ["interpolated_average_precision", "sampled_average_precision", "step_average_precision"]


def step_average_precision(hit: npt.ArrayLike, confidence: npt.ArrayLike) -> float:
    """Sum over distinct confidences, falling, of (recall step) x (precision), without interpolation.

    Args:
        hit: whether each is a positive, shape (n,).
        confidence: shape (n,), finite; equal ones form one threshold.

    Returns:
        0 where there is no positive.

    Source: scikit-learn `average_precision_score`.
    """
    hits, values = np.asarray(hit, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    if not hits.any():
        return 0.0
    order = np.argsort(-values, kind="stable")
    hits, values = np.cumsum(hits[order]), values[order]
    last = np.append(values[1:] != values[:-1], True)
    precision = (hits / np.arange(1, len(hits) + 1))[last]
    recall = hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def interpolated_average_precision(hit: npt.ArrayLike, positives: int) -> float:
    """Area under the precision envelope: at each recall the highest precision at that recall or above.

    Args:
        hit: whether each detection is a true positive, highest confidence first, shape (n,).
        positives: number of true boxes, at least 1.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2010 development kit, section 3.4.
    """
    hits = np.asarray(hit, dtype=bool)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(envelope[hits])) / positives


def sampled_average_precision(hit: npt.ArrayLike, positives: int, *, points: int = 101) -> float:
    """Mean of the precision envelope at equally spaced recalls 0 .. 1; 0 at recalls that are not reached.

    Args:
        hit: whether each detection is a true positive, highest confidence first, shape (n,).
        positives: number of true boxes, at least 1.
        points: number of recalls.

    Source: Lin et al., Microsoft COCO, arXiv 1405.0312; evaluation code of the COCO API.
    """
    hits = np.asarray(hit, dtype=bool)
    found = np.cumsum(hits)
    # The COCO API's guard against 0 / 0, kept since it lowers a precision by an ulp.
    precision = found / (np.arange(1, len(hits) + 1) + np.spacing(1))
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    at = np.searchsorted(found / positives, np.linspace(0.0, 1.0, points), side="left")
    return float(np.mean(envelope[at]))
