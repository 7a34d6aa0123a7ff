"""Metrics of masks, one of the truth against one predicted."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mleb_vision.runs import Runs, areas, overlaps

__all__ = ["dice", "global_dice", "mean_dice", "mean_precision_at_iou_thresholds", "pixel_f_beta"]

TEN_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def dice(truth: Runs, predicted: Runs) -> npt.NDArray[np.float64]:
    """Dice coefficient of each pair: 2 |X and Y| / (|X| + |Y|), shape (n,); nan where both are empty.

    Source: Dice, Measures of the amount of ecologic association between species, Ecology 26, 1945.
    """
    both = (areas(truth) + areas(predicted)).astype(np.float64)
    common = 2.0 * overlaps(truth, predicted)
    return np.asarray(np.divide(common, both, out=np.full(len(both), np.nan), where=both > 0))


def mean_dice(truth: Runs, predicted: Runs) -> float:
    """Mean over images of the Dice coefficient; an image with both masks empty counts 1.

    Args:
        truth: n masks.
        predicted: n masks of the same images.

    Source: metric of the HuBMAP competition of 2020.
    """
    return float(np.mean(np.nan_to_num(dice(truth, predicted), nan=1.0)))


def global_dice(truth: Runs, predicted: Runs) -> float:
    """One Dice coefficient over the pixels of all images together: 2 |P and T| / (|P| + |T|).

    Args:
        truth: n masks.
        predicted: n masks of the same images.

    Returns:
        nan where all masks of both sides are empty.

    Source: metric of the contrails competition of 2023.
    """
    both = int(areas(truth).sum() + areas(predicted).sum())
    return 2.0 * int(overlaps(truth, predicted).sum()) / both if both else float("nan")


def mean_precision_at_iou_thresholds(
    truth: Runs,
    predicted: Runs,
    *,
    thresholds: Sequence[float] = TEN_THRESHOLDS,
    empty_as_full: bool = False,
) -> float:
    """Mean over images of the share of IoU thresholds that the image's one object passes.

    With at most one object on each side, precision TP / (TP + FP + FN) at a threshold is 1 where
    IoU = |X and Y| / |X or Y| is above it, else 0. An image without an object counts 1 if none is predicted, else 0.

    Args:
        truth: n masks.
        predicted: n masks of the same images.
        thresholds: of IoU, to be exceeded.
        empty_as_full: score an empty prediction, where there is an object, as if the whole image were predicted. A
            fault of the published grader, which finds the objects by a histogram with two bins: all pixels of a
            constant image fall into the upper one.

    Source: metric of the TGS salt competition of 2018.
    """
    true, guessed = areas(truth), areas(predicted)
    common = overlaps(truth, predicted)
    union = true + guessed - common
    if empty_as_full:
        constant = (guessed == 0) & (true > 0)
        common = np.where(constant, true, common)
        union = np.where(constant, truth.height * truth.width, union)
    iou = common / np.maximum(union, 1)
    passed = np.mean(iou[:, None] > np.asarray(thresholds)[None, :], axis=1)
    return float(np.mean(np.where(true == 0, guessed == 0, passed)))


def pixel_f_beta(truth: Runs, predicted: Runs, *, beta: float = 1.0) -> float:
    """Mean over images of the F-beta score of the set pixels.

    F-beta = (1 + beta^2) TP / ((1 + beta^2) TP + beta^2 FN + FP); 0 where no pixel is a true positive.

    Args:
        truth: n masks.
        predicted: n masks of the same images.
        beta: weight of recall against precision.

    Source: van Rijsbergen, Information Retrieval, 1979, chapter 7.
    """
    hits = overlaps(truth, predicted)
    missed, wrong = areas(truth) - hits, areas(predicted) - hits
    weight = 1 + beta**2
    below = weight * hits + beta**2 * missed + wrong
    return float(np.mean(np.divide(weight * hits, below, out=np.zeros(len(hits)), where=below > 0)))
