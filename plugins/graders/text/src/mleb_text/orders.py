"""Kendall's tau of orders, pooled over many of them."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["NotTheItemsError", "inversions", "places", "pooled_kendall_tau", "tau_of_ranks"]

Ints = npt.NDArray[np.int64]


class NotTheItemsError(ValueError):
    """A row does not hold each of the true items once: `row` is its position, `problem` what is wrong."""

    def __init__(self, row: int, problem: str) -> None:
        self.row, self.problem = row, problem
        super().__init__(f"row {row + 1}: {problem}")


def pooled_kendall_tau(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Kendall's rank correlation, its pairs pooled over all rows: 1 - 4 S / D.

    S is the number of pairs of items of one row that stand in the order opposite to the true one, D the sum over rows
    of n (n - 1), n the row's number of items. 1 is the true order everywhere, -1 the reverse everywhere. Not the mean
    of the rows' correlations: long rows weigh more. NaN where no row has two items.

    Args:
        truth: texts of items separated by white space, shape (n,); within a row all are different.
        predicted: the same items in another order, shape (n,).

    Raises:
        NotTheItemsError: a predicted row does not hold the true items, each once.

    Source: Kendall 1938; Kaggle's evaluation of AI4Code (2022).
    """
    return tau_of_ranks(*places(truth, predicted))


def tau_of_ranks(ranks: Ints, sizes: Ints) -> float:
    """`pooled_kendall_tau` of what `places` gives."""
    below = int((sizes * (sizes - 1)).sum())
    return 1 - 4 * inversions(ranks, sizes) / below if below else float("nan")


def places(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Ints, Ints]:
    """For each predicted item its place in the true order.

    Args:
        truth: as in `pooled_kendall_tau`.
        predicted: as in `pooled_kendall_tau`.

    Returns:
        Places from 0 within the row, row after row, shape (sum of the sizes,), and the rows' sizes, shape (n,).

    Raises:
        NotTheItemsError: a predicted row does not hold the true items, each once.
    """
    true, guess = _split(truth), _split(predicted)
    sizes = np.fromiter(map(len, true), dtype=np.int64, count=len(true))
    given = np.fromiter(map(len, guess), dtype=np.int64, count=len(guess))
    if (wrong := np.flatnonzero(sizes != given)).size:
        row = int(wrong[0])
        raise NotTheItemsError(row, f"{given[row]} items where {sizes[row]} are expected")
    n = int(sizes.sum())
    items = np.array([*chain.from_iterable(true), *chain.from_iterable(guess)], dtype=object)
    codes, names = pd.factorize(items, use_na_sentinel=False)
    rows = np.repeat(np.arange(len(true), dtype=np.int64), sizes)
    keys = codes.astype(np.int64) + np.tile(rows, 2) * len(names)
    by_true, by_guess = (np.argsort(half, kind="stable") for half in (keys[:n], keys[n:]))
    if (apart := np.flatnonzero(keys[:n][by_true] != keys[n:][by_guess])).size:
        # Sorted by row first: the first difference lies in the first row that is wrong.
        row = int(rows[by_true[apart[0]]])
        raise NotTheItemsError(row, _difference(true[row], guess[row]))
    starts = np.cumsum(sizes) - sizes
    ranks = np.empty(n, dtype=np.int64)
    ranks[by_guess] = by_true - starts[rows[by_true]]
    return ranks, sizes


def inversions(ranks: Ints, sizes: Ints) -> int:
    """Number of pairs within a row of which the later has the lower rank.

    All rows at once, n log n: rows are split into the ranks whose highest bit is 0 and those where it is 1, both parts
    in their order; each 1 before a 0 is an inversion, and all others lie within a part, where the next bit decides.

    Args:
        ranks: whole numbers from 0, row after row; within a row all different.
        sizes: number of ranks of each row, shape (rows,).
    """
    part = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)  # never falls along the array
    total = 0
    for bit in reversed(range(int(ranks.max(initial=0)).bit_length())):
        high = (ranks >> bit) & 1
        before = np.cumsum(high) - high
        first = np.flatnonzero(np.diff(part, prepend=-1))
        before -= np.repeat(before[first], np.diff(np.append(first, len(part))))
        total += int(before[high == 0].sum())
        part = 2 * part + high
        order = np.argsort(part, kind="stable")
        ranks, part = ranks[order], part[order]
        part = np.cumsum(np.diff(part, prepend=part[0]) > 0)  # small again, so that nothing overflows
    return total


def _difference(true: Sequence[str], guess: Sequence[str]) -> str:
    known, seen = set(true), set()
    for item in guess:
        if item not in known:
            return f"{item!r:.60} is none of the items of this row"
        if item in seen:
            return f"{item!r:.60} stands there twice"
        seen.add(item)
    return "the items are not those of this row"


def _split(values: npt.ArrayLike) -> list[list[str]]:
    return [text.split() for text in np.asarray(values, dtype=object).ravel().tolist()]
