"""Metrics of sets written in a cell: tags separated by blanks."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mleb_core.grading.texts import is_kept_as_bytes
from mleb_metrics.arrays import Ints, are_texts
from mleb_metrics.words import ROWS, Cells, pieces, read_words

__all__ = ["read_cells", "tag_micro_f1", "tag_sample_f1"]


def tag_micro_f1(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, ignore_unknown: bool = False) -> float:
    """F1 of (row, tag) pairs summed over all rows: 2 TP / (2 TP + FP + FN); 0 where there are no pairs at all.

    Args:
        truth: text, shape (n,): tags separated by any white space; an empty or missing cell is the empty set. Tags are
            compared as they stand; their order does not matter; repeats in a cell count once.
        predicted: the same.
        ignore_unknown: drop predicted tags that occur in no row of the truth, instead of counting false positives.

    Source: scikit-learn `f1_score(average="micro")` after `MultiLabelBinarizer`.
    """
    true, guess, hits = _counts(truth, predicted, ignore_unknown)
    below = int(true.sum() + guess.sum())
    return 2 * int(hits.sum()) / below if below else 0.0


def tag_sample_f1(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, empty_rows: float = 0.0, ignore_unknown: bool = False
) -> float:
    """Plain mean over rows of each row's F1 = 2 |T and P| / (|T| + |P|).

    Args:
        truth: as in `tag_micro_f1`.
        predicted: as in `tag_micro_f1`.
        empty_rows: what a row counts that is empty on both sides.
        ignore_unknown: as in `tag_micro_f1`.

    Source: scikit-learn `f1_score(average="samples")` after `MultiLabelBinarizer`.
    """
    true, guess, hits = _counts(truth, predicted, ignore_unknown)
    below = true + guess
    return float(np.mean(np.where(below > 0, 2 * hits / np.maximum(below, 1), empty_rows)))


def read_cells(values: Any) -> Cells:
    """The texts of a column's cells, shape (n,) or (n, 1); a missing cell is the empty text, a number its str.

    An array that pandas keeps as bytes stays one.
    """
    import pandas as pd

    if is_kept_as_bytes(values):
        kept = getattr(values, "array", values)
        return kept.fillna("") if kept.isna().any() else kept
    column = np.asarray(values, dtype=object).ravel()
    cells: list[Any] = column.tolist()
    if are_texts(column):
        return cells
    empty = pd.isna(column).tolist()
    return ["" if missing else str(value) for value, missing in zip(cells, empty, strict=True)]


def _counts(truth: npt.ArrayLike, predicted: npt.ArrayLike, ignore_unknown: bool) -> tuple[Ints, Ints, Ints]:
    """Of each row: its true tags, its predicted tags, and those that are both, shape (n,) each."""
    true, guess = read_cells(truth), read_cells(predicted)
    rows = len(true)
    if rows != len(guess) or not rows:
        raise ValueError(f"truth and predictions must have rows, the same number of them; got {rows}, {len(guess)}")
    counts = np.empty((3, rows), dtype=np.int64)
    for part in pieces(rows, rows if ignore_unknown else ROWS):  # what is known depends on all rows
        words = read_words(true[part], guess[part])
        found = words and (words[1].known_to(words[0]) if ignore_unknown else words[1])
        if not words or not found:
            counts[:, part] = _counts_by_row(true[part], guess[part], ignore_unknown)
            continue
        wanted, found = words[0].distinct(), found.distinct()
        counts[:, part] = wanted.counts, found.counts, np.count_nonzero(found.among(wanted), axis=0)
    return counts[0], counts[1], counts[2]


def _counts_by_row(true: Cells, guess: Cells, ignore_unknown: bool) -> Ints:
    """The same with Python's sets, shape (3, n)."""
    known = set(" ".join(true).split()) if ignore_unknown else None
    counts = np.empty((3, len(true)), dtype=np.int64)
    for row, (a, b) in enumerate(zip(true, guess, strict=True)):
        wanted, found = set(a.split()), set(b.split())
        if known is not None:
            found &= known
        counts[:, row] = len(wanted), len(found), len(wanted & found)
    return counts
