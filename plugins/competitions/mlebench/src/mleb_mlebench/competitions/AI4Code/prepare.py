"""Whole families of notebooks (one ancestor, its copies and their changes) are hidden, up to 20,000 notebooks."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, need_columns, read_csv, write_csv

TEST_NOTEBOOKS = 20_000


def prepare(context: Preparation) -> None:
    """Split by `ancestor_id`, hide the cell order of the test notebooks; their files stay as they are.

    The sample submission has the cells in the order of each test notebook's file.
    """
    raw, public = context.raw, context.public
    ancestors = read_csv(raw / "train_ancestors.csv")
    need_columns(ancestors, ["id", "ancestor_id"], "train_ancestors.csv")
    orders = read_csv(raw / "train_orders.csv")
    need_columns(orders, ["id", "cell_order"], "train_orders.csv")

    ancestors = ancestors.sample(frac=1, random_state=0)
    is_test = _families_that_fit(ancestors["ancestor_id"], TEST_NOTEBOOKS)
    test_ids = set(ancestors["id"][is_test])
    in_test = orders["id"].isin(test_ids).to_numpy()
    write_csv(ancestors[~is_test], public / "train_ancestors.csv")
    write_csv(orders, public / "train_orders.csv", rows=np.flatnonzero(~in_test))
    write_csv(orders, context.private / "test_orders.csv", rows=np.flatnonzero(in_test))

    context.progress("laying out notebooks")
    part = {id: "test" if hidden else "train" for id, hidden in zip(ancestors["id"], is_test, strict=True)}
    copy_files([(f"{raw}/train/{id}.json", f"{public}/{part[id]}/{id}.json") for id in part], own=context.own_raw)

    sample = orders.loc[in_test, ["id"]]
    sample["cell_order"] = [" ".join(_cells(raw / "train" / f"{id}.json")) for id in sample["id"]]
    write_csv(sample, public / "sample_submission.csv")


def _families_that_fit(families: "pd.Series[str]", room: int) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Which rows belong to families that fit into `room` rows, tried in order of appearance, whole or not at all."""
    codes, names = pd.factorize(families)
    taken = np.zeros(len(names), dtype=bool)
    for family, size in enumerate(np.bincount(codes, minlength=len(names)).tolist()):
        if size <= room:
            taken[family] = True
            room -= size
    return taken[codes]


def _cells(path: Path) -> list[str]:
    """The cells of a notebook in the order of its file."""
    try:
        return list(json.loads(path.read_bytes())["cell_type"])
    except (ValueError, LookupError, TypeError) as error:
        raise PreparationError(f"{path} is no notebook with cell_type: {type(error).__name__}: {error}") from None
