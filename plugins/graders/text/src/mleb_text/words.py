"""Metrics of sets of words."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["mean_word_jaccard"]


def mean_word_jaccard(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, both_empty: float | Literal["undefined"] = 0.0
) -> float:
    """Plain mean over rows of |A and B| / |A or B|, A and B the sets of words of the two texts.

    Words are what white space separates (`str.split`, so tabs, line ends and no-break spaces count), in lower case
    (`str.lower`); punctuation is part of a word, repeats and order do not matter.

    Args:
        truth: texts, shape (n,).
        predicted: texts, shape (n,).
        both_empty: what a row counts in which neither text has a word; "undefined": such a row leaves the whole
            score undefined, and the function gives NaN.

    Source: Jaccard 1912; Kaggle's "word-level Jaccard score" of tweet-sentiment-extraction (2020).
    """
    left, right = _texts(truth), _texts(predicted)
    empty = float("nan") if both_empty == "undefined" else both_empty
    scores = np.full(len(left), empty, dtype=np.float64)
    for row, (a, b) in enumerate(zip(left, right, strict=True)):
        one, other = set(a.lower().split()), set(b.lower().split())
        both = len(one & other)
        if below := len(one) + len(other) - both:
            scores[row] = both / below
    return float(scores.mean())


def _texts(values: npt.ArrayLike) -> list[Any]:
    texts: list[Any] = np.asarray(values, dtype=object).ravel().tolist()
    return texts
