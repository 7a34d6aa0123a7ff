"""F1 of labelled points that must lie in boxes."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from mleb_vision.cells import CellError, Texts
from mleb_vision.items import Items, group_codes, read_items
from mleb_vision.matching import claims, group_pairs

__all__ = ["point_in_box_f1", "read_boxes", "read_points"]

Ints = npt.NDArray[np.int64]


def read_points(cells: Texts, *, limit: int | None = None) -> Items:
    """Read points `label x y`, separated by single blanks; an empty cell has none.

    Coordinates that are nan or infinite pass; such a point is in no box. Numbers are (x, y).

    Args:
        cells: the texts.
        limit: largest number of points in a cell.

    Raises:
        CellError: the number of words is no multiple of three, a coordinate is no number, there are too many points.
    """
    points = read_items(cells, fields=("label", "x", "y"), separator=" ")
    if limit is not None:
        counts = np.bincount(points.row, minlength=len(cells))
        for i in np.flatnonzero(counts > limit)[:1]:
            raise CellError(int(i), f"{counts[i]} points; at most {limit} are allowed")
    return points


def read_boxes(cells: Texts, *, limit: int | None = None) -> Items:
    """Read boxes `label x y width height`, separated by single blanks; numbers are (x, y, width, height).

    Raises:
        CellError: as in `read_points`.
    """
    return read_items(cells, fields=("label", "x", "y", "width", "height"), separator=" ")


def point_in_box_f1(truth: Items, predicted: Items, *, matching: Literal["in order", "most"] = "in order") -> float:
    """F1 of points of all rows together: 2 P R / (P + R) with P = TP / points, R = TP / boxes; 0 without a hit.

    A point fits a box of its row and label if x < point_x < x + width and y < point_y < y + height. Each point counts
    for one box at most and each box for one point.

    Args:
        truth: numbers (x, y, width, height).
        predicted: numbers (x, y).
        matching: "in order": the boxes, as they stand, each take the first fitting point that is still free;
            "most": as many pairs as there can be, whatever the order (Hopcroft and Karp, SIAM J. Comput. 2, 1973).

    Source: metric of the Kuzushiji Recognition competition of 2019.
    """
    boxes, points = group_codes(truth, predicted)

    def fit(a: Ints, b: Ints) -> npt.NDArray[np.float64]:
        corner, size, point = truth.numbers[a, :2], truth.numbers[a, 2:], predicted.numbers[b]
        return np.asarray(((corner < point) & (point < corner + size)).all(axis=1), dtype=np.float64)

    hits = len(claims(boxes, points, fit, above=0.0)) if matching == "in order" else _most(boxes, points, fit)
    return 2.0 * hits / (len(truth) + len(predicted)) if hits else 0.0


def _most(boxes: Ints, points: Ints, fit: Callable[[Ints, Ints], npt.NDArray[np.float64]]) -> int:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    pairs = [(a[good], b[good]) for a, b in group_pairs(boxes, points) if (good := fit(a, b) > 0).any()]
    if not pairs:
        return 0
    a, b = (np.concatenate(side) for side in zip(*pairs, strict=True))
    graph = csr_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(len(boxes), len(points)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())
