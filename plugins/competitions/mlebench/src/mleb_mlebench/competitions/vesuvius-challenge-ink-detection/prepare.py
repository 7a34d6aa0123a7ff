"""Fragments 1 and 2 are for train, fragment 3 becomes the test fragment a.

public/train/1, train/2       all files
public/test/a                 fragment 3 without its ink labels and its infrared picture
public/sample_submission.csv  two pixels
private/inklabels_rle.csv     Id, Predicted, width, height
private/gold_submission.csv   Id, Predicted
"""

import struct
from pathlib import Path

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, copy_tree, files_below, need_columns, read_csv, write_csv

HIDDEN = {"inklabels.png", "inklabels_rle.csv", "ir.png"}


def prepare(context: Preparation) -> None:
    fragment = context.raw / "train" / "3"
    if not fragment.is_dir():
        raise PreparationError(f"{fragment} is missing; the folder of the third fragment is expected there")
    for name in ("1", "2"):
        copy_tree(context.raw / "train" / name, context.public / "train" / name, own=context.own_raw)
    shown = [name for name in files_below(fragment) if name not in HIDDEN]
    copy_files([(f"{fragment}/{name}", f"{context.public}/test/a/{name}") for name in shown], own=context.own_raw)

    labels = read_csv(fragment / "inklabels_rle.csv")
    need_columns(labels, ["Id", "Predicted"], "train/3/inklabels_rle.csv")
    if len(labels) != 1:
        raise PreparationError(f"train/3/inklabels_rle.csv has {len(labels)} rows; 1 is expected")
    width, height = _size(fragment / "ir.png")
    gold = labels[["Id", "Predicted"]].assign(Id="a")
    write_csv(gold, context.private / "gold_submission.csv")
    write_csv(gold.assign(width=width, height=height), context.private / "inklabels_rle.csv")
    sample = pd.DataFrame({"Id": ["a"], "Predicted": ["1 1 5 1"]})
    write_csv(sample, context.public / "sample_submission.csv")


def _size(png: Path) -> tuple[int, int]:
    """Width and height, which stand in the first bytes of a PNG file."""
    if not png.is_file():
        raise PreparationError(f"{png} is missing; it gives the fragment's size")
    with png.open("rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        raise PreparationError(f"{png} is no PNG picture; get it again")
    width, height = struct.unpack(">II", head[16:24])
    return width, height
