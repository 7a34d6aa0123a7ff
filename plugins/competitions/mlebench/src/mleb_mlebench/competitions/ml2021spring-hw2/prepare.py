"""Rows of arrays become train or test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, random_split, write_csv

FOLDER = "timit_11/timit_11"
SHARED = 10
"""Rows after a row that have a frame in common with it: a row is 11 frames, and the next one starts a frame later."""
STEP = 1 << 16


def prepare(context: Preparation) -> None:
    """Split the rows of train_11.npy, with the share that the original test set had. Hidden: the test labels.

    Edition 1 splits at random. Edition 2 takes the last rows for test, in their order, and leaves out the rows
    before them that have a frame in common with one of them.
    """
    names = ("train_11.npy", "train_label_11.npy", "test_11.npy")
    frames, labels, original = (_array(context.raw / FOLDER / name) for name in names)
    share = len(original) / (len(frames) + len(original))
    if len(labels) != len(frames):
        raise PreparationError(f"train_label_11.npy has {len(labels)} rows, train_11.npy {len(frames)}: not as many")
    if context.edition == 1:
        train, test = random_split(len(frames), share)
    else:
        start = len(frames) - int(np.ceil(share * len(frames)))
        train, test = np.arange(max(start - SHARED, 0)), np.arange(start, len(frames))
    _save(frames, train, context.public / FOLDER / "train_11.npy")
    _save(labels, train, context.public / FOLDER / "train_label_11.npy")
    _save(frames, test, context.public / FOLDER / "test_11.npy")
    answers = pd.DataFrame({"Id": np.arange(len(test)), "ClassId": labels[test]})
    write_csv(answers, context.private / "answers.csv")
    write_csv(answers.assign(ClassId=0), context.public / "sampleSubmission.csv")


def _array(path: Path) -> Any:
    """The array in a file, on disk until it is needed."""
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise PreparationError(f"{path} is missing; an array is expected there") from None
    except (ValueError, EOFError) as error:
        raise PreparationError(f"{path} is no array ({error}); get it again") from None


def _save(array: Any, rows: Any, path: Path) -> None:
    """Write these rows as numpy.save does, without having them all in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False,
              "shape": (len(rows), *array.shape[1:])}  # fmt: skip
    with path.open("xb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for piece in _pieces(rows):
            stream.write(np.ascontiguousarray(array[piece]).tobytes())


def _pieces(rows: Any) -> Iterator[Any]:
    for start in range(0, len(rows), STEP):
        yield rows[start : start + STEP]
