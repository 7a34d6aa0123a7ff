"""The train records are split, as many for test as there are validation records; validation stays as it is.

public/train_metadata.json    what is known of the train records; there is none for test
public/train, test            the records; those of test without their masks
public/validation             as in raw
public/sample_submission.csv  masks drawn at random
private/answers.csv           record_id, encoded_pixels, height, width
"""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_file, copy_files, copy_tree, random_split, write_csv

BANDS = [f"band_{number:02d}.npy" for number in range(8, 17)]
MASK = "human_pixel_masks.npy"
MASKS = ["human_individual_masks.npy", MASK]


def prepare(context: Preparation) -> None:
    records = _read(context.raw / "train_metadata.json")
    count = len(_read(context.raw / "validation_metadata.json"))
    train, test = random_split(len(records), count, what="records in train_metadata.json")
    text = json.dumps([records[i] for i in train])
    (context.public / "train_metadata.json").write_text(text, encoding="utf-8")
    copy_file(
        context.raw / "validation_metadata.json", context.public / "validation_metadata.json", own=context.own_raw
    )

    pairs = [("train", records[i]["record_id"], name) for i in train for name in [*BANDS, *MASKS]]
    pairs += [("test", records[i]["record_id"], name) for i in test for name in BANDS]
    context.progress(f"laying out {len(pairs):,} files")
    copy_files(
        [(f"{context.raw}/train/{id}/{name}", f"{context.public}/{part}/{id}/{name}") for part, id, name in pairs],
        own=context.own_raw,
    )
    copy_tree(context.raw / "validation", context.public / "validation", own=context.own_raw)

    context.progress("encoding the test masks")
    answers = pd.DataFrame([_answer(context.raw / "train", records[i]["record_id"]) for i in test])
    write_csv(answers, context.private / "answers.csv")
    draw = Random(0)
    sample = answers.assign(encoded_pixels=[draw.choice(["1 3 10 5", "-"]) for _ in range(len(answers))])
    if context.edition > 1:
        sample = sample[["record_id", "encoded_pixels"]]
    write_csv(sample, context.public / "sample_submission.csv")


def _answer(folder: Path, id: str) -> dict[str, Any]:
    mask = np.load(folder / id / MASK)
    height, width = np.load(folder / id / BANDS[0], mmap_mode="r").shape[:2]
    return {"record_id": id, "encoded_pixels": _encoded(mask), "height": height, "width": width}


def _encoded(mask: npt.NDArray[Any]) -> str:
    """Runs of set pixels, counted from 1 down the columns; "-" where there is none."""
    flat = np.concatenate([[False], mask.reshape(mask.shape[:2]).T.reshape(-1) > 0, [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges.tolist())) or "-"


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise PreparationError(f"{path} is missing; a list of records is expected there")
    try:
        records: list[dict[str, Any]] = json.loads(path.read_bytes())
    except ValueError as error:
        raise PreparationError(f"{path} is not JSON ({error}); get it again") from None
    return records
