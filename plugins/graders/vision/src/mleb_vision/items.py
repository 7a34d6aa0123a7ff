"""Boxes and points as text: `car 0.9 1 2 3 4 car 0.5 ...`, several in a cell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mleb_vision.cells import CellError, Texts

__all__ = ["Items", "group_codes", "read_items"]


@dataclass(frozen=True)
class Items:
    """n labelled boxes or points, in the order of the cells and within a cell of the text."""

    row: npt.NDArray[np.int64]
    """The cell of each, from 0, shape (n,)."""
    label: npt.NDArray[Any]
    """Its class, shape (n,)."""
    numbers: npt.NDArray[np.float64]
    """Its numbers, shape (n, k)."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: npt.NDArray[Any]) -> "Items":
        """Some of them, by position or mask."""
        return replace(self, row=self.row[chosen], label=self.label[chosen], numbers=self.numbers[chosen])


def read_items(
    cells: Texts,
    *,
    fields: Sequence[str],
    separator: str | None = None,
    finite: Iterable[str] = (),
) -> Items:
    """Read texts of items, each of the same number of words.

    Args:
        cells: the texts; an empty one has no items.
        fields: names of an item's words, for messages; the one named "label" is kept as text, the others are numbers
            (whatever Python's `float` takes, so that nan, inf and 1e3 pass).
        separator: between words. None: any white space; " ": a single blank, so that two in a row, or one at the end,
            make an empty word, which is no number.
        finite: fields that must not be nan or infinite.

    Raises:
        CellError: the first text that is malformed, and what is wrong with it.
    """
    width, place = len(fields), list(fields).index("label")
    words: list[str] = []
    counts = np.zeros(len(cells), dtype=np.int64)
    for i, cell in enumerate(cells):
        found = cell.split(separator) if cell else []
        counts[i], rest = divmod(len(found), width)
        if rest:
            raise CellError(i, f"{len(found)} words where groups of {width} are expected: {' '.join(fields)}")
        words += found
    row = np.repeat(np.arange(len(cells), dtype=np.int64), counts)
    names = [name for name in fields if name != "label"]
    columns = [_floats(words[i::width], row, name) for i, name in enumerate(fields) if i != place]
    numbers = np.column_stack(columns) if len(row) else np.zeros((0, width - 1))
    for name in finite:
        bad = ~np.isfinite(numbers[:, names.index(name)])
        if bad.any():
            i = int(np.argmax(bad))
            raise CellError(int(row[i]), f"a {name} is {numbers[i, names.index(name)]}; a finite number is expected")
    label = np.array([*words[place::width], None], dtype=object)[:-1]
    return Items(row, label, numbers)


def group_codes(a: Items, b: Items) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """One number for each row and label that occur together, the same for both."""
    import pandas as pd

    labels, names = pd.factorize(np.concatenate([a.label, b.label]), use_na_sentinel=False)
    codes = np.concatenate([a.row, b.row]) * max(len(names), 1) + labels
    return codes[: len(a)], codes[len(a) :]


def _floats(words: Sequence[str], row: npt.NDArray[np.int64], name: str) -> npt.NDArray[np.float64]:
    try:
        return np.fromiter(map(float, words), dtype=np.float64, count=len(words))
    except ValueError:
        for i, word in enumerate(words):
            try:
                float(word)
            except ValueError:
                what = f"{word[:30]!r} is not a number" if word else "a word is empty; words are separated by one blank"
                raise CellError(int(row[i]), f"{what} ({name} is expected)") from None
        raise
