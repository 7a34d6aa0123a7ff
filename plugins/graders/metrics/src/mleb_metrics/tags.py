"""Metrics of sets written in a cell: tags separated by blanks."""

from itertools import chain

import numpy as np
import numpy.typing as npt

from mleb_metrics.arrays import Ints

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
    true, guess, rows = _pairs(truth, predicted)
    if ignore_unknown:
        guess = guess[np.isin(guess // rows, true // rows)]
    below = len(true) + len(guess)
    return 2 * len(np.intersect1d(true, guess, assume_unique=True)) / below if below else 0.0


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
    true, guess, rows = _pairs(truth, predicted)
    if ignore_unknown:
        guess = guess[np.isin(guess // rows, true // rows)]
    hits = np.intersect1d(true, guess, assume_unique=True)
    n_true, n_guess, n_hits = (np.bincount(pairs % rows, minlength=rows) for pairs in (true, guess, hits))
    below = n_true + n_guess
    return float(np.mean(np.where(below > 0, 2 * n_hits / np.maximum(below, 1), empty_rows)))


def read_cells(values: npt.ArrayLike) -> list[str]:
    """The texts of a column's cells, shape (n,) or (n, 1); a missing cell is the empty text, a number its str."""
    import pandas as pd

    column = np.asarray(values, dtype=object).ravel()
    empty = pd.isna(column).tolist()
    return ["" if missing else str(value) for value, missing in zip(column.tolist(), empty, strict=True)]


def _pairs(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Ints, Ints, int]:
    """Both sides' distinct (tag, row) pairs, each coded as tag * rows + row and sorted; and the number of rows."""
    import pandas as pd

    sides = read_cells(truth), read_cells(predicted)
    rows = len(sides[0])
    if rows != len(sides[1]) or not rows:
        raise ValueError(f"truth and predictions must have rows, the same number of them; got {rows}, {len(sides[1])}")
    # One list of all tags and no list a cell: a million small lists would keep the garbage collector busy.
    tags = " ".join(chain(*sides)).split()
    sizes = np.fromiter((len(cell.split()) for cell in chain(*sides)), dtype=np.int64, count=2 * rows)
    tag_codes, _ = pd.factorize(np.array(tags, dtype=object), use_na_sentinel=False)
    pairs = tag_codes.astype(np.int64) * rows + np.repeat(np.tile(np.arange(rows), 2), sizes)
    end = int(sizes[:rows].sum())
    return _distinct(pairs[:end]), _distinct(pairs[end:]), rows


def _distinct(values: Ints) -> Ints:
    """Sorted, each once; much faster here than the hashing of numpy's `unique`."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
