"""Which rows of a table are train and which test, as a recipe declares it, and their new ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare.recipe import LikeFiles, Renumber, Split
from mleb_core.prepare.sources import Sources, matcher
from mleb_core.prepare.split import (
    Parts,
    grouped_split,
    random_split,
    stratified_split,
    time_split,
    values_split,
)
from mleb_core.prepare.tables import need_columns
from mleb_core.prepare.templates import Template

__all__ = ["renumbered", "sorted_rows", "split_rows"]


def split_rows(frame: pd.DataFrame, split: Split, sources: Sources) -> Parts:
    """Row positions of train and test, in the order that the split asks for.

    Raises:
        PreparationError: a column is missing, or there are too few rows.
    """
    label = f"table {split.table!r}"
    need_columns(frame, [*([split.column] if split.column else []), *split.sort_by], label)
    column = frame[split.column] if split.column else None
    test_size: float | int | None
    if isinstance(split.test_size, LikeFiles):
        fit = matcher(split.test_size.files.partition("!")[2] or split.test_size.files)
        count = sum(fit.fullmatch(name) is not None for name in sources.names(split.test_size.files))
        if not count:
            raise PreparationError(f"no file fits {split.test_size.files!r} in the raw data {sources.raw}")
        test_size = count / (len(frame) + count)
    else:
        test_size = split.test_size
    if split.key is not None:
        column = _keys(frame[split.column], split.key, f"{label}: column {split.column!r}")
    try:
        parts = _split(split, len(frame), column, test_size)
    except PreparationError as error:
        raise PreparationError(f"{label}: {error}") from None
    if split.order == "file":
        return parts.in_file_order()
    if split.order == "sorted":
        parts = parts.in_file_order()
        return Parts(*(sorted_rows(frame, rows, split.sort_by) for rows in parts))
    return parts


def _keys(column: Any, pattern: str, label: str) -> Any:
    """The part of each text that the pattern names; missing where the text is."""
    fit = matcher(pattern)
    if fit.groups != 1:
        raise PreparationError(f"prepare.split.key = {pattern!r}: one name in braces is expected")
    keys = column.astype(object).map(lambda text: (m := fit.fullmatch(str(text))) and m[1], na_action="ignore")
    if (odd := np.flatnonzero((keys.isna() & column.notna()).to_numpy())).size:
        raise PreparationError(f"{label}: {column.iloc[odd[0]]!r} in row {odd[0] + 1} does not fit {pattern!r}")
    return keys


def _split(split: Split, rows: int, column: Any, test_size: float | int | None) -> Parts:
    if split.method == "random":
        return random_split(rows, test_size, train_size=split.train_size, seed=split.seed)
    if split.method == "stratified":
        return stratified_split(column, test_size, train_size=split.train_size, seed=split.seed)
    if split.method == "grouped":
        return grouped_split(column, test_size, train_size=split.train_size, seed=split.seed, order=split.groups)
    if split.method == "time":
        return time_split(column, test_size, since=split.since)
    return values_split(column, split.test_values)


def sorted_rows(frame: pd.DataFrame, rows: Any, columns: Sequence[str]) -> Any:
    """Positions sorted by columns, ascending, equal ones as they stood."""
    keys = frame[list(columns)].take(rows).reset_index(drop=True)
    return rows[keys.sort_values(list(columns), kind="stable").index.to_numpy()]


def renumbered(frame: pd.DataFrame, parts: Parts, new: Renumber) -> pd.DataFrame:
    """The table with new ids in `new.column`, the old ones in `COLUMN@raw`."""
    need_columns(frame, [new.column], "the table that is split")
    numbers = np.zeros(len(frame), dtype=np.int64)
    ids: Any = numbers if new.train is None and new.test is None else np.empty(len(frame), dtype=object)
    start = new.start
    for rows, text in ((parts.train, new.train), (parts.test, new.test)):
        if new.each == "row":
            codes, count = np.arange(len(rows)), len(rows)
        else:
            codes, names = pd.factorize(frame[new.column].take(rows).array)
            count = len(names)
        numbers[rows] = codes + start
        if ids is not numbers:
            template = Template(text or "{n}")
            old = frame[new.column].take(rows).reset_index(drop=True)
            ids[rows] = template.values(pd.DataFrame({"n": numbers[rows], "old": old}))
        start = start + count if new.continued else new.start
    given = frame[new.column]
    frame = frame.copy(deep=False)
    frame[new.column] = ids
    frame[f"{new.column}@raw"] = given
    return frame
