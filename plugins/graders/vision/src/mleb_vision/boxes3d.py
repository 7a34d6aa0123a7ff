"""Upright boxes in space: their overlap, and mean average precision by image and class."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mleb_vision.cells import Texts
from mleb_vision.items import Items, group_codes, read_items
from mleb_vision.matching import group_pairs

__all__ = ["broken_boxes", "iou_3d", "mean_average_precision_3d", "overlap_area", "read_boxes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TEN_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
_SQUARE = 1e-8  # largest dot product of two edges that still counts as a right angle


def read_boxes(cells: Texts) -> Items:
    """Read boxes `confidence x y z width length height yaw class`, separated by single blanks; a blank text has none.

    Sizes are not checked here (`broken_boxes`). Numbers are (confidence, x, y, z, width, length, height, yaw).

    Raises:
        CellError: the number of words is no multiple of nine, or a word is no number.
    """
    fields = ("confidence", "x", "y", "z", "width", "length", "height", "yaw", "label")
    return read_items(["" if cell.isspace() else cell for cell in cells], fields=fields, separator=" ")


def broken_boxes(boxes: Items) -> npt.NDArray[Any]:
    """What is wrong with each box: a text, or None; objects of shape (n,).

    A number must be finite, a size above 0, and the corners on the ground, as computed in float64, must have right
    angles (the dot product of the edges at most 1e-8), which rounding spoils for a very large box.
    """
    problems = np.full(len(boxes), None, dtype=object)
    with np.errstate(invalid="ignore", over="ignore"):
        ground = corners(boxes.numbers[:, 1:])
        ahead, behind = np.roll(ground, -1, axis=1) - ground, np.roll(ground, 1, axis=1) - ground
        square = (np.abs((ahead * behind).sum(axis=2)) <= _SQUARE).all(axis=1)
    problems[~square] = "a box is too large: its corners are no right angles any more"
    problems[~(boxes.numbers[:, 4:7] > 0).all(axis=1)] = "a width, length or height is not above 0"
    problems[~np.isfinite(boxes.numbers).all(axis=1)] = "a number is not finite"
    return problems


def mean_average_precision_3d(
    truth: Items,
    predicted: Items,
    *,
    thresholds: Sequence[float] = TEN_THRESHOLDS,
    absent_classes: Literal["ignored", "zero"] = "ignored",
) -> float:
    """Mean over images and IoU thresholds of the mean over classes of average precision.

    In an image and class the predictions, highest confidence first (equal ones as they stand), each look at the true
    box of the best IoU alone (the first of equals): a true positive if the IoU is above the threshold and no earlier
    one took that box, else a false positive. Average precision is the area under the precision envelope over recall.

    Args:
        truth: numbers (any, x, y, z, width, length, height, yaw); images without a box are left out.
        predicted: numbers (confidence, x, y, z, width, length, height, yaw).
        thresholds: of IoU, to be exceeded.
        absent_classes: what predictions of classes do that the image's truth does not have: nothing, or each such class
            is one more class with average precision 0.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2010 development kit (average precision);
    metric of the Lyft 3D object detection competition of 2019, applied to each image.
    """
    if not len(truth):
        return float("nan")
    # Highest confidence first in each image.
    predicted = predicted.take(np.lexsort((-predicted.numbers[:, 0], predicted.row)))
    guesses, boxes = group_codes(predicted, truth)
    groups, positives = np.unique(boxes, return_counts=True)
    place = np.searchsorted(groups, guesses)
    known = groups[np.minimum(place, len(groups) - 1)] == guesses
    image = np.zeros(len(groups), dtype=np.int64)
    image[np.searchsorted(groups, boxes)] = truth.row
    classes = np.bincount(image, minlength=int(max(truth.row.max(), predicted.row.max(initial=0))) + 1)
    if absent_classes == "zero":
        absent = np.unique(guesses[~known], return_index=True)[1]
        extra = np.bincount(predicted.row[~known][absent], minlength=len(classes))
        classes = np.where(classes > 0, classes + extra, 0)
    predicted, guesses = predicted.take(known), guesses[known]
    best, iou = _best(predicted, truth, guesses, boxes, min(thresholds))
    group = np.searchsorted(groups, guesses)
    order = np.argsort(group, kind="stable")  # keeps the confidences' order
    group, best, iou = group[order], best[order], iou[order]
    score = 0.0
    for threshold in thresholds:
        near = np.flatnonzero(iou > threshold)
        hit = np.zeros(len(group), dtype=bool)
        hit[near[np.unique(best[near], return_index=True)[1]]] = True
        precision = _average_precisions(hit, group, positives)
        score += float(np.sum(precision / classes[image]))
    return score / (int(np.sum(classes > 0)) * len(thresholds))


def iou_3d(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """IoU of each pair of boxes (x, y, z, width, length, height, yaw), shape (n, 7) each.

    (x, y, z) is the centre; length lies along the heading, yaw radians from the x axis towards the y axis, width across
    it, height along z. IoU = common volume / (sum of volumes - common volume), in [0, 1].

    Returns:
        Shape (n,).
    """
    low = np.maximum(a[:, 2] - a[:, 5] / 2, b[:, 2] - b[:, 5] / 2)
    high = np.minimum(a[:, 2] + a[:, 5] / 2, b[:, 2] + b[:, 5] / 2)
    common = overlap_area(corners(a), corners(b)) * np.maximum(high - low, 0.0)
    union = np.prod(a[:, 3:6], axis=1) + np.prod(b[:, 3:6], axis=1) - common
    return np.asarray(np.clip(common / union, 0.0, 1.0))


def corners(boxes: npt.NDArray[Any]) -> Floats:
    """The four corners on the ground of boxes as in `iou_3d`, in turn counterclockwise, shape (n, 4, 2)."""
    x, y, _, width, length, _, yaw = boxes.T
    along = np.stack([np.cos(yaw), np.sin(yaw)], axis=1) * (length / 2)[:, None]
    across = np.stack([-np.sin(yaw), np.cos(yaw)], axis=1) * (width / 2)[:, None]
    centre = np.stack([x, y], axis=1)
    front, back = centre + along, centre - along
    return np.stack([front - across, front + across, back + across, back - across], axis=1)


def overlap_area(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """Area common to each pair of convex polygons.

    The first polygon is cut along each side of the second (Sutherland and Hodgman, Communications of the ACM 17, 1974),
    all pairs at once. Corners lie in rows of equal length: those a polygon does not need repeat its first one.

    Args:
        a: corners in turn counterclockwise, shape (n, k, 2).
        b: likewise, shape (n, l, 2).

    Returns:
        Shape (n,).
    """
    origin = a.mean(axis=1, keepdims=True)  # near the origin less is lost to rounding
    left, other = a - origin, b - origin
    for i in range(other.shape[1]):
        begin, end = other[:, i], other[:, (i + 1) % other.shape[1]]
        left = _cut(left, begin, end - begin)
    following = np.roll(left, -1, axis=1)
    cross = left[:, :, 0] * following[:, :, 1] - left[:, :, 1] * following[:, :, 0]
    return np.asarray(np.maximum(cross.sum(axis=1) / 2, 0.0))


def _cut(polygons: Floats, begin: Floats, along: Floats) -> Floats:
    """What lies on the left of a line, for each polygon."""
    offset = polygons - begin[:, None]
    side = along[:, None, 0] * offset[:, :, 1] - along[:, None, 1] * offset[:, :, 0]
    following, next_side = np.roll(polygons, -1, axis=1), np.roll(side, -1, axis=1)
    inside = side >= 0
    crosses = inside != (next_side >= 0)
    share = np.divide(side, side - next_side, out=np.zeros_like(side), where=crosses)
    crossing = polygons + share[:, :, None] * (following - polygons)
    n, k = side.shape
    points = np.stack([polygons, crossing], axis=2).reshape(n, 2 * k, 2)
    needed = np.stack([inside, crosses], axis=2).reshape(n, 2 * k)
    width = max(int(needed.sum(axis=1).max(initial=0)), 1)
    order = np.argsort(~needed, axis=1, kind="stable")[:, :width]
    points = np.take_along_axis(points, order[:, :, None], axis=1)
    needed = np.take_along_axis(needed, order, axis=1)
    # A polygon of which nothing is left shrinks to a point, which has no area.
    return np.where(needed[:, :, None], points, points[:, :1])


def _best(predicted: Items, truth: Items, guesses: Ints, boxes: Ints, least: float) -> tuple[Ints, Floats]:
    """The true box of best IoU for each prediction, where that IoU is above `least`; else -1 and 0."""
    best, best_iou = np.full(len(predicted), -1, dtype=np.int64), np.zeros(len(predicted))
    volume, true_volume = (np.prod(items.numbers[:, 4:7], axis=1) for items in (predicted, truth))
    reach, true_reach = (np.hypot(items.numbers[:, 4], items.numbers[:, 5]) / 2 for items in (predicted, truth))
    for a, b in group_pairs(guesses, boxes):
        # Cheap bounds first: most pairs of a scene are far apart or of unlike size.
        apart = np.hypot(*(predicted.numbers[a, 1:3] - truth.numbers[b, 1:3]).T)
        high, low = np.maximum(volume[a], true_volume[b]), np.minimum(volume[a], true_volume[b])
        near = (apart < reach[a] + true_reach[b]) & (low > high * (least * 0.999))
        a, b = a[near], b[near]  # noqa: PLW2901 - the rest of the pairs is done with
        iou = iou_3d(predicted.numbers[a, 1:], truth.numbers[b, 1:])
        order = np.lexsort((b, -iou, a))
        first = order[np.unique(a[order], return_index=True)[1]]
        first = first[iou[first] > least]
        best[a[first]], best_iou[a[first]] = b[first], iou[first]
    return best, best_iou


def _average_precisions(hit: npt.NDArray[np.bool_], group: Ints, positives: Ints) -> Floats:
    """Area under the precision envelope of each group, shape (g,); items are in order of group and confidence."""
    import pandas as pd

    begins = np.searchsorted(group, np.arange(len(positives)), side="left")
    before = np.concatenate([[0], np.cumsum(hit)])
    found = before[1:] - before[begins[group]]
    precision = found / (np.arange(len(group)) - begins[group] + 1)
    # The envelope: the highest precision from here on, inside the group.
    envelope = pd.Series(precision[::-1]).groupby(group[::-1]).cummax().to_numpy()[::-1]
    return np.asarray(np.bincount(group[hit], weights=envelope[hit], minlength=len(positives)) / positives)
