"""Jaccard similarity of words against exact fractions computed word by word."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest

from mleb_text.words import mean_word_jaccard


def plainly(truth, predicted, both_empty=0):
    """The definition, with lists and exact fractions."""
    total = Fraction(0)
    for a, b in zip(truth, predicted, strict=True):
        left, right = [], []
        for words, text in ((left, a), (right, b)):
            for word in text.lower().split():
                if word not in words:
                    words.append(word)
        shared = [word for word in left if word in right]
        joined = left + [word for word in right if word not in left]
        total += Fraction(len(shared), len(joined)) if joined else Fraction(both_empty)
    return float(total / len(truth))


def test_it_is_the_definition():
    draw = random.Random(1)
    words = ["The", "the", "naïve", "ÄÖ", "äö", "x,", "x", "१८६९", "नदी", "!", "SS", "ß", "İ"]
    gaps = [" ", "  ", "\t", "\n", "\u00a0", "\u2028"]

    def text():
        return "".join(draw.choice(words) + draw.choice(gaps) for _ in range(draw.randrange(6)))

    truth, predicted = ([text() for _ in range(400)] for _ in range(2))
    assert mean_word_jaccard(truth, predicted) == pytest.approx(plainly(truth, predicted), abs=1e-12)
    assert mean_word_jaccard(truth, predicted, both_empty=1.0) == pytest.approx(plainly(truth, predicted, 1), abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "predicted", "score"),
    [
        ("a b c", "c b a a", 1),
        ("a b c", "A B", 2 / 3),
        ("a b", "a b,", 1 / 3),
        ("a\u00a0b", "b a", 1),
        ("a\u200db", "a b", 0),  # a zero-width joiner separates nothing
        ("a", "", 0),
        ("", "a", 0),
    ],
)
def test_single_rows(truth, predicted, score):
    assert mean_word_jaccard([truth], [predicted]) == pytest.approx(score)


def test_rows_without_words():
    assert mean_word_jaccard(["", "a"], [" ", "a"]) == 0.5
    assert mean_word_jaccard(["", "a"], [" ", "a"], both_empty=1.0) == 1.0
    assert math.isnan(mean_word_jaccard(["", "a"], [" ", "a"], both_empty="undefined"))
    assert mean_word_jaccard(["b", "a"], [" ", "a"], both_empty="undefined") == 0.5


def test_arrays_of_objects():
    assert mean_word_jaccard(np.array(["a b", "c"], dtype=object), np.array(["a", "c"], dtype=object)) == 0.75
