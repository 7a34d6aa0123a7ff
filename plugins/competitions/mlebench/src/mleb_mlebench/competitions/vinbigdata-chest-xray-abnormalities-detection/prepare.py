"""The recipe, which splits the images, and the answers: what the radiologists agreed on, simulated.

public/train.csv             all boxes of all radiologists for the train images
private/answers.csv          test images: the first box of each class in an image; from edition 2 on every box that does
                             not overlap an earlier one of its class
private/gold_submission.csv  the same as a submission
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mleb_core.prepare import Preparation, need_columns, write_csv

Box = npt.NDArray[Any]

KEYS = ["image_id", "class_id"]
BOX = ["x_min", "y_min", "x_max", "y_max"]
NO_FINDING = 14
SAME_BOX = 0.4


def prepare(context: Preparation) -> None:
    recipe = context.recipe()
    table = recipe.table("train")
    need_columns(table, [*KEYS, *BOX], "train.csv")
    parts = recipe.parts.in_file_order()
    write_csv(table, context.public / "train.csv", rows=parts.train)

    boxes = table.take(parts.test).astype(dict.fromkeys(BOX, float))
    if context.edition == 1:
        answers = _filled(boxes.groupby(KEYS, as_index=False).first())  # of each column the first that is not missing
    else:
        answers = _distinct(_filled(boxes))
    write_csv(answers, context.private / "answers.csv")
    answers["PredictionString"] = [
        f"{int(name)} 1.0 " + " ".join(repr(float(x)) for x in box)
        for name, *box in answers[["class_id", *BOX]].itertuples(index=False)
    ]
    gold = answers.groupby("image_id", as_index=False).agg({"PredictionString": " ".join})
    write_csv(gold, context.private / "gold_submission.csv")


def _filled(boxes: pd.DataFrame) -> pd.DataFrame:
    """Missing cells become 0, and the box of an image without a finding 0 0 1 1."""
    for name in boxes.columns[boxes.isna().any()]:
        boxes[name] = (
            boxes[name].fillna(0.0) if name in BOX else boxes[name].astype(object).where(boxes[name].notna(), 0)
        )
    boxes.loc[boxes["class_id"] == NO_FINDING, ["x_max", "y_max"]] = 1.0
    return boxes


def _distinct(boxes: pd.DataFrame) -> pd.DataFrame:
    """By image and class, then in file order, the boxes that reach an IoU of 0.4 with no box kept before them."""
    boxes = boxes.sort_values(KEYS, kind="stable")[[*KEYS, *boxes.columns.drop(KEYS)]]
    kept = []
    for _, group in boxes.groupby(KEYS):
        mine: list[Box] = []
        for row, box in zip(group.index, group[BOX].to_numpy(), strict=True):
            if all(_iou(box, other) < SAME_BOX for other in mine):
                mine.append(box)
                kept.append(row)
    return boxes.loc[kept]


def _iou(a: Box, b: Box) -> float:
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common
    return float(common / union) if union > 0 else float(np.array_equal(a, b))
