"""Boxes as other seeds of the competitions may hold them."""

import numpy as np
import pytest

from mleb_vision.coco import coco_mean_average_precision
from mleb_vision.items import Items


def items(*boxes):
    """Boxes (label, confidence, x_min, y_min, x_max, y_max) of one image."""
    return Items(
        np.zeros(len(boxes), dtype=np.int64),
        np.array([box[0] for box in boxes], dtype=np.int64),
        np.array([box[1:] for box in boxes], dtype=np.float64),
    )


@pytest.mark.parametrize("faulty", [False, True])
def test_boxes_too_large_for_an_area_are_left_out_without_a_warning(faulty):
    truth = items((3, 1, 50, 50, 60, 60), (3, 1, 10, 10, 20, 20))
    far = [(3, 0.9, -1e200, -1e200, 1e200, 1e200), (3, 0.8, 0, 0, 1e308, -1e308)]
    found = (3, 0.5, 10, 10, 20, 20)
    options = {"thresholds": [0.4], "corners_as_sizes": faulty}
    alone = coco_mean_average_precision(truth, items(found), **options)
    assert coco_mean_average_precision(truth, items(*far, found), **options) == alone > 0
