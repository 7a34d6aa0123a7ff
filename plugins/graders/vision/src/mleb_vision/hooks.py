"""Registers one grader for each metric of masks, boxes and points; what they need loads when a submission is graded."""

from collections.abc import Mapping

from mleb_core import hookimpl
from mleb_core.grading.protocol import Grader

HIGHER = True
TEXT: Mapping[str, object] = {"type": "text", "missing": True}
MASKS: Mapping[str, tuple[str, str]] = {
    "mean-dice": ("masks", "mean over images of the Dice coefficient of run-length masks"),
    "global-dice": ("masks", "one Dice coefficient over the pixels of all run-length masks"),
    "mean-precision-at-iou-thresholds": ("masks", "mean over images of the share of IoU thresholds a mask passes"),
    "pixel-f-beta": ("masks", "mean over images of the F-beta score of run-length masks"),
    "dice-hausdorff": ("hausdorff", "0.4 Dice + 0.6 (1 - Hausdorff distance) of run-length masks in volumes"),
}
"""By id: module and summary. The function's name is the id with underscores."""


@hookimpl
def mleb_register_graders() -> list[Grader]:
    """All graders of the pack."""
    from mleb_vision.detection_graders import PooledBoxGrader, UprightBoxGrader
    from mleb_vision.graders import CellGrader

    masks = [
        CellGrader(
            id,
            f"mleb_vision.{module}:{id.replace('-', '_')}",
            HIGHER,
            summary,
            TEXT,
            reader="mleb_vision.runs:read_masks",
            reading=("height", "width", "empty", "shared_length"),
        )
        for id, (module, summary) in MASKS.items()
    ]
    return [
        *masks,
        CellGrader(
            "detection-mean-average-precision",
            "mleb_vision.detections:detection_mean_average_precision",
            HIGHER,
            "mean over classes of average precision of boxes at one IoU threshold",
            TEXT,
            reader="mleb_vision.detections:read_boxes",
        ),
        PooledBoxGrader(
            "coco-mean-average-precision",
            "mleb_vision.coco:coco_mean_average_precision",
            HIGHER,
            "mean average precision of boxes as the COCO API has it (101 recalls)",
            TEXT,
            reader="mleb_vision.coco:read_detections",
        ),
        UprightBoxGrader(
            "mean-average-precision-3d",
            "mleb_vision.boxes3d:mean_average_precision_3d",
            HIGHER,
            "mean over images, IoU thresholds and classes of average precision of boxes in space",
            TEXT,
            reader="mleb_vision.boxes3d:read_boxes",
        ),
        CellGrader(
            "point-in-box-f1",
            "mleb_vision.points:point_in_box_f1",
            HIGHER,
            "F1 of labelled points that must lie in boxes",
            TEXT,
            reader="mleb_vision.points:read_points",
            truth_reader="mleb_vision.points:read_boxes",
            reading=("limit",),
        ),
    ]
