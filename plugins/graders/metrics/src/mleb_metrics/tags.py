"""Metrics of sets written in a cell: tags separated by blanks."""

from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt
from mleb_core.errors import InvalidSubmissionError

from mleb_metrics.arrays import Ints

__all__ = ["Numbers", "read_cells", "tag_micro_f1", "tag_sample_f1"]

Numbers = Literal["text", "refuse", "read"]


def tag_micro_f1(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, ignore_unknown: bool = False, numbers: Numbers = "text"
) -> float:
    """F1 of (row, tag) pairs summed over all rows: 2 TP / (2 TP + FP + FN); 0 where there are no pairs at all.

    Args:
        truth: text, shape (n,): tags separated by any white space; an empty or missing cell is the empty set. Tags are
            compared as they stand; their order does not matter; repeats in a cell count once.
        predicted: the same.
        ignore_unknown: drop predicted tags that occur in no row of the truth, instead of counting false positives.
        numbers: see `read_cells`.

    Raises:
        InvalidSubmissionError: see `read_cells`.

    Source: scikit-learn `f1_score(average="micro")` after `MultiLabelBinarizer`.
    """
    true, guess, rows = _pairs(truth, predicted, numbers)
    if ignore_unknown:
        guess = guess[np.isin(guess // rows, true // rows)]
    below = len(true) + len(guess)
    return 2 * len(np.intersect1d(true, guess, assume_unique=True)) / below if below else 0.0


def tag_sample_f1(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, empty_rows: float = 0.0, numbers: Numbers = "text"
) -> float:
    """Plain mean over rows of each row's F1 = 2 |T and P| / (|T| + |P|).

    Args:
        truth: as in `tag_micro_f1`.
        predicted: as in `tag_micro_f1`.
        empty_rows: what a row counts that is empty on both sides.
        numbers: see `read_cells`.

    Raises:
        InvalidSubmissionError: see `read_cells`.

    Source: scikit-learn `f1_score(average="samples")` after `MultiLabelBinarizer`.
    """
    true, guess, rows = _pairs(truth, predicted, numbers)
    hits = np.intersect1d(true, guess, assume_unique=True)
    n_true, n_guess, n_hits = (np.bincount(pairs % rows, minlength=rows) for pairs in (true, guess, hits))
    below = n_true + n_guess
    return float(np.mean(np.where(below > 0, 2 * n_hits / np.maximum(below, 1), empty_rows)))


def read_cells(values: npt.ArrayLike, numbers: Numbers = "text") -> list[str]:
    """The texts of a column's cells; a missing cell is the empty text.

    Args:
        values: shape (n,) or (n, 1); text, or numbers, taken in their shortest form.
        numbers: what becomes of a column in which every cell that is not empty is one number: "text": nothing;
            "refuse": the submission is refused (unless every cell is empty); "read": cells are rewritten as a reader
            that guesses column types would have them: whole numbers lose leading zeros ("007" is "7"), and become
            floats where a cell is empty or a number has a fraction ("7" is "7.0").

    Raises:
        InvalidSubmissionError: "refuse", and the column holds numbers only.
    """
    import pandas as pd

    column = np.asarray(values, dtype=object).ravel()
    empty = pd.isna(column).tolist()
    cells = ["" if missing else str(value) for value, missing in zip(column.tolist(), empty, strict=True)]
    if numbers == "text":
        return cells
    filled = [cell for cell in cells if cell]
    try:
        if not filled or any(" " in cell.strip() for cell in filled):
            return cells
        read = [float(cell) for cell in filled]
    except ValueError:
        return cells
    if numbers == "refuse":
        raise InvalidSubmissionError(
            f"the column holds a single number in every row ({filled[0]!r}); lists are expected"
        )
    whole = len(filled) == len(cells) and all(cell.strip().lstrip("+-").isdigit() for cell in filled)
    if whole:
        return [str(int(cell)) for cell in cells]
    shown = iter(read)
    return [repr(next(shown)) if cell else "" for cell in cells]


def _pairs(truth: npt.ArrayLike, predicted: npt.ArrayLike, numbers: Numbers) -> tuple[Ints, Ints, int]:
    """Both sides' distinct (tag, row) pairs, each coded as tag * rows + row and sorted; and the number of rows."""
    import pandas as pd

    sides = [[cell.split() for cell in read_cells(truth)], [cell.split() for cell in read_cells(predicted, numbers)]]
    rows = len(sides[0])
    if rows != len(sides[1]) or not rows:
        raise ValueError(f"truth and predictions must have rows, the same number of them; got {rows}, {len(sides[1])}")
    tags = np.array([*chain.from_iterable(sides[0] + sides[1])], dtype=object)
    tag_codes, _ = pd.factorize(tags, use_na_sentinel=False)
    sizes = np.fromiter(map(len, chain(*sides)), dtype=np.int64, count=2 * rows)
    pairs = tag_codes.astype(np.int64) * rows + np.repeat(np.tile(np.arange(rows), 2), sizes)
    end = int(sizes[:rows].sum())
    return np.unique(pairs[:end]), np.unique(pairs[end:]), rows
