"""Mean average precision of labelled boxes by one IoU threshold, pooled over rows."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from mleb_vision.average_precision import interpolated_average_precision, step_average_precision
from mleb_vision.boxes import iou_of_corners
from mleb_vision.cells import Texts
from mleb_vision.items import Items, group_codes, read_items
from mleb_vision.matching import claims

__all__ = ["detection_mean_average_precision", "read_boxes"]

Ints = npt.NDArray[np.int64]


def read_boxes(cells: Texts) -> Items:
    """Read boxes `label confidence x_min y_min x_max y_max`, separated by white space.

    A corner may be nan or infinite: such a box matches nothing. Numbers are (confidence, x_min, y_min, x_max, y_max).

    Raises:
        CellError: the number of words is no multiple of six, a word is no number, a confidence is not finite.
    """
    fields = ("label", "confidence", "x_min", "y_min", "x_max", "y_max")
    return read_items(cells, fields=fields, finite=("confidence",))


def detection_mean_average_precision(
    truth: Items,
    predicted: Items,
    *,
    threshold: float = 0.5,
    average_precision: Literal["step", "interpolated"] = "step",
) -> float:
    """Mean over the classes of the truth of average precision.

    Matching: in each row and class the predictions, highest confidence first (equal ones as they stand), each take the
    still free true box of the largest IoU (the first of equals), if that is above the threshold. A prediction with a
    box is a hit, another one a false positive. Classes that the truth does not have are ignored.

    Args:
        truth: numbers (any, x_min, y_min, x_max, y_max).
        predicted: numbers (confidence, x_min, y_min, x_max, y_max).
        threshold: of IoU, to be exceeded.
        average_precision: "step": `step_average_precision` of the hits of all rows, to which every missed true box adds
            a positive of confidence 0, and every row without prediction and without truth of the class a negative of
            confidence 0; "interpolated": `interpolated_average_precision` of the predictions of all rows.

    Source: metric of the SIIM-FISABIO-RSNA COVID-19 competition of 2021.
    """
    # The order in which predictions claim: highest confidence first in each row.
    predicted = predicted.take(np.lexsort((-predicted.numbers[:, 0], predicted.row)))
    guesses, boxes = group_codes(predicted, truth)

    def fit(a: Ints, b: Ints) -> npt.NDArray[np.float64]:
        return iou_of_corners(predicted.numbers[a, 1:], truth.numbers[b, 1:])

    found = claims(guesses, boxes, fit, above=threshold)
    hit, missed = np.zeros(len(predicted), dtype=bool), np.ones(len(truth), dtype=bool)
    hit[list(found)] = True
    missed[list(found.values())] = False

    rows = int(max(truth.row.max(initial=-1), predicted.row.max(initial=-1))) + 1
    scores = []
    for name in sorted(set(truth.label)):
        mine, true = predicted.label == name, truth.label == name
        hits, confidence = hit[mine], predicted.numbers[mine, 0]
        if average_precision == "interpolated":
            order = np.argsort(-confidence, kind="stable")
            scores.append(interpolated_average_precision(hits[order], int(true.sum())))
            continue
        lost = int(missed[true].sum())
        bare = rows - len(np.union1d(predicted.row[mine], truth.row[true]))
        rest = np.repeat([True, False], [lost, bare])
        scores.append(
            step_average_precision(np.concatenate([hits, rest]), np.concatenate([confidence, np.zeros(lost + bare)]))
        )
    return float(np.mean(scores)) if scores else float("nan")
