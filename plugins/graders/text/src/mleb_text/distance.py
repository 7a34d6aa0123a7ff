"""Edit distances of texts and of lists of numbers.

The Levenshtein distance of two sequences is the least number of insertions, deletions and substitutions, each of cost
1, that turn one into the other (Levenshtein 1966). It is computed by rapidfuzz with Myers' bit-parallel algorithm
(Myers 1999, Hyyrö 2003): 64 cells of the usual table at once.
"""

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from mleb_core.errors import GraderError, InvalidSubmissionError

__all__ = ["mean_levenshtein", "normalized_levenshtein"]


def mean_levenshtein(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Plain mean over rows of the Levenshtein distance of two texts, in Unicode code points; nothing is stripped.

    Args:
        truth: texts, shape (n,).
        predicted: texts, shape (n,).

    Source: Kaggle's "mean Levenshtein distance" of billion-word-imputation and bms-molecular-translation.
    """
    pairs = zip(_cells(truth), _cells(predicted), strict=True)
    return float(np.mean([Levenshtein.distance(a, b) for a, b in pairs]))


def normalized_levenshtein(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Levenshtein distances of lists of whole numbers, summed over rows, divided by the sum of the true lists' lengths.

    One division for all rows, so long lists weigh more than short ones; above 1 where predictions are too long. It is
    a word error rate with numbers for words.

    Args:
        truth: texts of numbers separated by white space, shape (n,); a blank one is the empty list. Numbers are read
            by Python's `int`, so that "07" is 7.
        predicted: the same.

    Raises:
        InvalidSubmissionError: a predicted text holds something else.
        GraderError: a true text does, or no true list has a number.

    Source: Kaggle's evaluation of multi-modal-gesture-recognition (2013).
    """
    true, guess = _cells(truth), _cells(predicted)
    codes: dict[int, int] = {}  # small codes in place of the numbers: rapidfuzz compares hashes, -1 and -2 share one
    try:
        wanted = [_codes(text, codes) for text in true]
    except ValueError as error:
        raise GraderError(f"the answers hold a list that is no list of whole numbers: {error}") from None
    total = sum(map(len, wanted))
    if not total:
        raise GraderError("the answers hold no number at all; a distance per number is not defined")
    distance = 0
    for row, (a, text) in enumerate(zip(wanted, guess, strict=True), 1):
        try:
            b = _codes(text, codes)
        except ValueError as error:
            raise InvalidSubmissionError(f"row {row}: no list of whole numbers: {error}") from None
        distance += Levenshtein.distance(a, b)
    return distance / total


def _codes(text: str, codes: dict[int, int]) -> list[int]:
    return [codes.setdefault(int(number), len(codes)) for number in text.split()]


def _cells(values: npt.ArrayLike) -> list[str]:
    cells: list[str] = np.asarray(values, dtype=object).ravel().tolist()
    return cells
