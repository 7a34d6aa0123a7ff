"""Splitting rows into train and test: functions that give row positions.

Positions are 0-based, `numpy.intp`; train and test are disjoint. The shuffles are scikit-learn's, so that a seed gives
the same rows everywhere.
"""

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mleb_core.errors import PreparationError
from mleb_core.prepare.problems import flat

__all__ = ["Parts", "grouped_split", "random_split", "stratified_split", "time_split", "values_split"]

Positions = NDArray[np.intp]
Size = float | int | None


class Parts(NamedTuple):
    """Row positions of the two parts, each in the order that the split gives."""

    train: Positions
    test: Positions

    def in_file_order(self) -> "Parts":
        """The same rows, each part in the order of the table."""
        return Parts(np.sort(self.train), np.sort(self.test))


def random_split(
    rows: int, test_size: Size, *, train_size: Size = None, seed: int = 0, labels: Any = None, what: str = "rows"
) -> Parts:
    """scikit-learn's `train_test_split` of `rows` positions, shuffled.

    With a share, test has ceil(share * rows) of them; with only `train_size`, train has floor(share * rows).
    Test is the start of RandomState(seed).permutation(rows), train what follows.

    Args:
        rows: how many there are.
        test_size: share or count; the rest if None.
        train_size: share or count; the rest if None.
        seed: of the shuffle.
        labels: one label a row whose shares both parts keep (`stratify`).
        what: what is counted, for messages.

    Raises:
        PreparationError: too few rows for the sizes.
    """
    from sklearn.model_selection import train_test_split

    positions = np.arange(rows, dtype=np.intp)
    try:
        train, test = train_test_split(
            positions, test_size=test_size, train_size=train_size, random_state=seed, stratify=labels
        )
    except ValueError as error:
        sizes = f"test_size {test_size}" if test_size is not None else f"train_size {train_size}"
        raise PreparationError(f"{rows} {what} cannot be split with {sizes}: {flat(error)}") from None
    return Parts(train, test)


def stratified_split(labels: Any, test_size: Size, *, train_size: Size = None, seed: int = 0) -> Parts:
    """`random_split` of the rows, in which both parts keep the shares of `labels` (one a row).

    Raises:
        PreparationError: a label is missing or stands only once, or there are too few rows.
    """
    _no_gaps(labels, "label")
    return random_split(len(labels), test_size, train_size=train_size, seed=seed, labels=np.asarray(labels))


def grouped_split(
    groups: Any,
    test_size: Size,
    *,
    train_size: Size = None,
    seed: int = 0,
    order: Literal["appearance", "sorted"] = "appearance",
) -> Parts:
    """`random_split` of the distinct values of `groups` (one a row); sizes count groups.

    Each part has its groups in the order of the shuffle, and within a group the rows as they stand.

    Args:
        groups: one value a row.
        test_size: share or count of groups.
        train_size: the same for train.
        seed: of the shuffle.
        order: order of the groups before the shuffle.

    Raises:
        PreparationError: a group is missing, or there are too few.
    """
    _no_gaps(groups, "group")
    codes, names = pd.factorize(pd.Series(groups), sort=order == "sorted")
    train, test = random_split(len(names), test_size, train_size=train_size, seed=seed, what="groups")
    rank = np.full(len(names), -1, dtype=np.intp)
    rank[np.concatenate([test, train])] = np.arange(len(test) + len(train))
    by_group = np.argsort(rank[codes], kind="stable").astype(np.intp)
    ranks = rank[codes][by_group]
    return Parts(by_group[ranks >= len(test)], by_group[(ranks >= 0) & (ranks < len(test))])


def time_split(times: Any, test_size: float | int | None = None, *, since: Any = None) -> Parts:
    """The latest rows are test. Each part is in the order of time, equal times as they stand.

    Args:
        times: one a row; numbers, or texts that sort by time, such as ISO dates.
        test_size: share (rounded up) or count of rows; rows as early as the first of them are test too, so that no
            time is on both sides.
        since: instead of it, the first time that is test.

    Raises:
        PreparationError: a time is missing, or a part would be empty.
    """
    _no_gaps(times, "time")
    values = np.asarray(pd.Series(times).array)
    order = np.argsort(values, kind="stable").astype(np.intp)
    if since is None:
        if test_size is None:
            raise PreparationError("a split by time needs test_size or since")
        count = int(np.ceil(test_size * len(values))) if isinstance(test_size, float) else test_size
        if not 0 < count < len(values):
            raise PreparationError(f"{len(values)} rows cannot be split by time with test_size {test_size}")
        since = values[order[-count]]
    try:
        late = values[order] >= since
    except TypeError:
        raise PreparationError(f"times such as {values[0]!r} cannot be compared with since = {since!r}") from None
    if late.all() or not late.any():
        raise PreparationError(f"a split by time at {since!r} leaves {'train' if late.all() else 'test'} empty")
    return Parts(order[~late], order[late])


def values_split(values: Any, test_values: Iterable[Any]) -> Parts:
    """The rows whose value is one of `test_values` are test; both parts as they stand.

    Raises:
        PreparationError: one of `test_values` is in no row, or train would be empty.
    """
    series, wanted = pd.Series(values), list(test_values)
    if absent := [value for value in wanted if not (series == value).any()]:
        raise PreparationError(f"no row has the test value {absent[0]!r}")
    mask = series.isin(wanted).to_numpy(dtype=bool)
    if mask.all():
        raise PreparationError("the test values leave train empty")
    return Parts(np.flatnonzero(~mask), np.flatnonzero(mask))


def _no_gaps(values: Any, what: str) -> None:
    gaps = np.flatnonzero(pd.isna(pd.Series(values)).to_numpy())
    if len(gaps):
        raise PreparationError(f"row {gaps[0] + 1} has no {what} to split by")
