"""Metrics of ranked lists: mean average precision of recommendations, label ranking precision."""

from itertools import chain

import numpy as np
import numpy.typing as npt

from mleb_core.errors import GraderError
from mleb_metrics.arrays import as_columns
from mleb_metrics.tags import read_cells

__all__ = ["lwlrap", "map_at_k"]


def map_at_k(
    truth: npt.ArrayLike,
    predicted: npt.ArrayLike,
    *,
    k: int,
    separator: str | None = None,
) -> float:
    """Mean over rows of average precision at k.

    A row's AP@k: over its first k predictions, each first occurrence of an item of the truth adds (hits so far) / rank;
    the sum is divided by min(number of distinct true items, k). A repeated prediction takes a rank and counts once. A
    row without true items counts 0. With one true item this is the mean of 1 / rank.

    Args:
        truth: text, shape (n,): items separated by white space, compared as they stand; repeats count once.
        predicted: text, shape (n,): items, best first; those after the k-th do not matter; an empty or missing cell
            is an empty list.
        k: length of the lists.
        separator: of the predictions. None: any white space; a text such as " ": exactly that, so that two of them
            in a row make an empty item that takes a rank.

    Raises:
        GraderError: k is below 1.

    Source: Manning et al., Introduction to Information Retrieval, 2008, chapter 8, cut at k.
    """
    import pandas as pd

    if k < 1:
        raise GraderError(f"k: a whole number of at least 1 is expected, got {k}")
    true_lists = [cell.split() for cell in read_cells(truth)]
    lists = [cell.split(separator)[:k] for cell in read_cells(predicted)]
    rows = len(true_lists)
    if rows != len(lists) or not rows:
        raise ValueError(f"truth and predictions must have rows, the same number of them; got {rows}, {len(lists)}")
    items = np.array([*chain.from_iterable(true_lists + lists)], dtype=object)
    item, _ = pd.factorize(items, use_na_sentinel=False)
    sizes = np.fromiter(map(len, chain(true_lists, lists)), dtype=np.int64, count=2 * rows)
    row = np.repeat(np.tile(np.arange(rows), 2), sizes)
    pairs = item.astype(np.int64) * rows + row
    end = int(sizes[:rows].sum())
    true_pairs, guesses, row = np.unique(pairs[:end]), pairs[end:], row[end:]

    starts = np.cumsum(sizes[rows:]) - sizes[rows:]
    rank = np.arange(len(guesses)) - starts[row] + 1
    first = np.zeros(len(guesses), dtype=np.bool_)
    first[np.unique(guesses, return_index=True)[1]] = True
    hit = first & np.isin(guesses, true_pairs)
    so_far = np.concatenate([[0], np.cumsum(hit)])
    hits = so_far[1:] - so_far[starts[row]]
    sums = np.bincount(row[hit], weights=(hits / rank)[hit], minlength=rows)
    wanted = np.minimum(np.bincount(true_pairs % rows, minlength=rows), k)
    return float(np.mean(sums / np.maximum(wanted, 1)))


def lwlrap(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Label-weighted label ranking average precision.

    For each true label of a row: the number of the row's true labels that score at least as high, divided by the number
    of all labels that do (ties share the worst rank). The score is the mean over all true labels of all rows, so that
    a row weighs as many as it has; rows without true labels do not count.

    Args:
        truth: 0/1 flags, one column a label, shape (n, k).
        predicted: scores of any scale, shape (n, k); nan gives nan.

    Raises:
        GraderError: the answers hold no label at all.

    Source: Fonseca et al., DCASE 2019 task 2, arXiv 1906.02975; scikit-learn `label_ranking_average_precision_score`
    with the number of labels as sample_weight.
    """
    from scipy.stats import rankdata

    a, b = as_columns(truth, predicted)
    true = a == 1
    if not true.any():
        raise GraderError("the answers hold no true label")
    if np.isnan(b).any():
        return float("nan")
    rank = rankdata(-b, method="max", axis=1)
    # Pushed behind all others, labels that are not true do not change the ranks among the true ones.
    among_true = rankdata(np.where(true, rank, np.inf), method="max", axis=1)
    return float(np.mean(among_true[true] / rank[true]))
