"""Axis-parallel boxes."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["iou_of_corners", "iou_of_sizes"]

Floats = npt.NDArray[np.float64]


def iou_of_corners(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """IoU of each pair of boxes (x_min, y_min, x_max, y_max), shape (n, 4) each.

    Areas are (x_max - x_min) (y_max - y_min). 0 where they do not overlap, where the union is not positive, or where a
    number is not finite.

    Returns:
        Shape (n,).
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
        common = np.prod(np.maximum(sides, 0.0), axis=1)
        area_a, area_b = (np.prod(c[:, 2:] - c[:, :2], axis=1) for c in (a, b))
        union = area_a + area_b - common
        iou = common / union
    good = np.isfinite(iou) & (union > 0) & np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
    return np.where(good, iou, 0.0)


def iou_of_sizes(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Floats:
    """IoU of each pair of boxes (x, y, width, height), shape (n, 4) each; 0 where they do not overlap.

    Returns:
        Shape (n,).
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
        common = sides[:, 0] * sides[:, 1]
        iou = common / (a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - common)
    return np.where((sides > 0).all(axis=1) & ~np.isnan(iou), iou, 0.0)
