"""Mean average precision as the COCO API computes it, with the faults of one published grader as options."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mleb_core.errors import GraderError
from mleb_vision.average_precision import sampled_average_precision
from mleb_vision.boxes import iou_of_corners, iou_of_sizes
from mleb_vision.cells import CellError, Texts
from mleb_vision.items import Items, group_codes, read_items
from mleb_vision.matching import claims

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["coco_mean_average_precision", "read_detections", "read_truth"]

Ints = npt.NDArray[np.int64]
_LARGEST_AREA = 1e5**2  # the COCO API's area range "all"


def read_detections(cells: Texts) -> Items:
    """Read detections `class confidence x_min y_min x_max y_max`, separated by single blanks.

    The class is a number, of which the part after the point is cut. Labels are int, numbers are (confidence, x_min,
    y_min, x_max, y_max).

    Raises:
        CellError: the number of words is no multiple of six, or a word is no finite number.
    """
    names = ("confidence", "x_min", "y_min", "x_max", "y_max")
    items = read_items(cells, fields=("label", *names), separator=" ", finite=names)
    labels = np.zeros(len(items), dtype=np.int64)
    for i, word in enumerate(items.label):
        try:
            labels[i] = int(float(word))
        except (ValueError, OverflowError):
            raise CellError(int(items.row[i]), f"class {word[:30]!r} is not a number") from None
    return Items(items.row, labels, items.numbers)


def read_truth(answers: "pd.DataFrame", id: str, images: Texts) -> Items:
    """The true boxes of a table with one box a row: columns class_id, x_min, y_min, x_max, y_max.

    Args:
        answers: the table.
        id: its image column.
        images: all images; `row` is the position among them. Numbers are (1, x_min, y_min, x_max, y_max).

    Raises:
        GraderError: a column is missing or holds something else.
    """
    try:
        boxes = answers[["x_min", "y_min", "x_max", "y_max"]].to_numpy(dtype=np.float64)
        labels = answers["class_id"].to_numpy(dtype=np.int64)
    except (KeyError, ValueError, TypeError) as error:
        raise GraderError(f"the answers hold no boxes: {' '.join(str(error).split())}; prepare them again") from None
    place = {name: i for i, name in enumerate(images)}
    rows = np.array([place[name] for name in answers[id].astype(str)], dtype=np.int64)
    return Items(rows, labels, np.column_stack([np.ones(len(rows)), boxes]))


def coco_mean_average_precision(
    truth: Items,
    predicted: Items,
    *,
    thresholds: Sequence[float] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
    max_detections: int = 100,
    corners_as_sizes: bool = False,
    number_zero_is_none: bool = False,
) -> float:
    """Mean over IoU thresholds and over the classes of the truth of average precision at 101 recalls.

    For each class: of each image the `max_detections` most confident detections count (equal ones as they stand). Each,
    most confident first, takes the free true box of largest IoU (the last of equals), if that is at least the
    threshold; it is then a true positive, else a false positive. Over all images, sorted by confidence (equal ones by
    image, then as they stand), `sampled_average_precision` is taken. Classes that the truth does not have are
    ignored. Boxes whose area (x_max - x_min) (y_max - y_min) is negative or above 1e10 count neither as missed nor as
    false positives.

    Args:
        truth: numbers (any, x_min, y_min, x_max, y_max); row: the image.
        predicted: numbers (confidence, x_min, y_min, x_max, y_max).
        thresholds: of IoU, to be reached.
        max_detections: of a class in an image.
        corners_as_sizes: take IoU as if x_max, y_max were width and height. A fault of the published grader.
        number_zero_is_none: boxes are numbered from 0 and number 0 also means "none": the first true box takes a
            detection but that one counts as a false positive and the box as missed, and what the first detection takes
            stays free. A fault of the published grader; the score then depends on the order of the rows.

    Source: Lin et al., Microsoft COCO, arXiv 1405.0312; the COCO API's evaluation (stats[0]).
    """
    original = np.flatnonzero(np.isin(predicted.label, truth.label))
    row, label, confidence = predicted.row[original], predicted.label[original], predicted.numbers[original, 0]
    original = original[np.lexsort((-confidence, label, row))]
    guesses, _ = group_codes(predicted.take(original), truth)
    original = original[_rank(guesses) < max_detections]
    kept = predicted.take(original)
    guesses, boxes = group_codes(kept, truth)
    iou = iou_of_sizes if corners_as_sizes else iou_of_corners
    outside, ignored = _outside(kept), _outside(truth)
    nameless = np.flatnonzero(original == 0).tolist() if number_zero_is_none else []

    def hits(threshold: float, true: Ints) -> dict[int, int]:
        def fit(a: Ints, b: Ints) -> npt.NDArray[np.float64]:
            return iou(kept.numbers[a, 1:], truth.numbers[true[b], 1:])

        least = min(threshold, 1 - 1e-10)
        found = claims(guesses, boxes[true], fit, above=least, inclusive=True, later_wins=True, leaves_free=nameless)
        return {i: int(true[j]) for i, j in found.items()}

    scores = []
    for threshold in thresholds:
        found = hits(threshold, np.flatnonzero(~ignored))
        hit = np.zeros(len(kept), dtype=bool)
        hit[[i for i, j in found.items() if not (number_zero_is_none and j == 0)]] = True
        counts = hit | ~outside
        # What only fits a box that is ignored is ignored as well.
        counts[[i for i in hits(threshold, np.flatnonzero(ignored)) if i not in found]] = False
        for name in np.unique(truth.label[~ignored]):
            mine = np.flatnonzero((kept.label == name) & counts)
            mine = mine[np.argsort(-kept.numbers[mine, 0], kind="stable")]
            positives = int(np.sum((truth.label == name) & ~ignored))
            scores.append(sampled_average_precision(hit[mine], positives))
    return float(np.mean(scores)) if scores else float("nan")


def _outside(boxes: Items) -> npt.NDArray[np.bool_]:
    x_min, y_min, x_max, y_max = boxes.numbers[:, 1:].T
    with np.errstate(over="ignore", invalid="ignore"):  # sides of 1e200 are a very large area, which is what is asked
        area = (x_max - x_min) * (y_max - y_min)
    return np.asarray((area < 0) | (area > _LARGEST_AREA))


def _rank(groups: Ints) -> Ints:
    """Place of each item among those of its group, which stand together."""
    at = np.arange(len(groups))
    begins = np.append(True, groups[1:] != groups[:-1])[: len(groups)]
    return np.asarray(at - np.maximum.accumulate(np.where(begins, at, 0)), dtype=np.int64)
