"""Metrics of ranked lists: mean average precision of recommendations, label ranking precision."""

import numpy as np
import numpy.typing as npt

from mleb_core.errors import GraderError
from mleb_metrics.arrays import Floats, as_columns
from mleb_metrics.tags import read_cells
from mleb_metrics.words import Cells, pieces, read_words

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
    if k < 1:
        raise GraderError(f"k: a whole number of at least 1 is expected, got {k}")
    true, guess = read_cells(truth), read_cells(predicted)
    rows = len(true)
    if rows != len(guess) or not rows:
        raise ValueError(f"truth and predictions must have rows, the same number of them; got {rows}, {len(guess)}")
    scores = [_precision(true[part], guess[part], k, separator) for part in pieces(rows)]
    return float(np.mean(np.concatenate(scores)))


def _precision(true: Cells, guess: Cells, k: int, separator: str | None) -> Floats:
    """Average precision at k of each row, shape (n,)."""
    words = read_words(true, guess, separator=separator, first=k)
    if words is None:
        return _precision_by_row(true, guess, k, separator)
    scores = np.zeros(len(true))
    some = np.flatnonzero(words[1].among(words[0]).any(axis=0))  # few rows of a long list of customers
    wanted, found = (side.of(some).distinct() for side in words)
    hits, total = np.zeros(len(some)), np.zeros(len(some))
    for rank, hit in enumerate(found.among(wanted), 1):
        hits += hit
        total += hit * (hits / rank)
    scores[some] = total / np.minimum(wanted.counts, k)
    return scores


def _precision_by_row(true: Cells, guess: Cells, k: int, separator: str | None) -> Floats:
    """The same with Python's sets."""
    scores = np.zeros(len(true))
    for row, (a, b) in enumerate(zip(true, guess, strict=True)):
        wanted, items = set(a.split()), b.split(separator)[:k]
        if wanted.isdisjoint(items):  # most rows of a long list of customers
            continue
        size, hits, total = min(len(wanted), k), 0, 0.0
        for rank, item in enumerate(items, 1):
            if item in wanted:
                wanted.remove(item)  # counts once
                hits += 1
                total += hits / rank
        scores[row] = total / size
    return scores


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
