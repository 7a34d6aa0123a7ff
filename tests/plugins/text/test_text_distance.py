"""Edit distances against the plain table of the textbook."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_text.distance import mean_levenshtein, normalized_levenshtein


def plainly(a, b):
    """Wagner and Fischer's table, row by row."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
        above = row
    return above[-1]


texts = st.text(st.sampled_from("abAB 𝐂é\u0301नद\n\0"), max_size=90)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_mean_levenshtein_is_the_definition(pairs):
    truth, predicted = zip(*pairs, strict=True)
    expected = sum(plainly(a, b) for a, b in pairs) / len(pairs)
    assert mean_levenshtein(truth, predicted) == pytest.approx(expected, abs=1e-12)


def test_long_texts():
    draw = random.Random(3)
    a, b = ("".join(draw.choices("abc ", k=n)) for n in (700, 650))
    assert mean_levenshtein([a, "x"], [b, "x"]) == plainly(a, b) / 2


def test_nothing_is_stripped_or_folded():
    assert mean_levenshtein(["ab", "ab", "é"], [" ab ", "AB", "e\u0301"]) == pytest.approx((2 + 2 + 2) / 3)


numbers = st.lists(st.integers(-3, 25), max_size=30)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=6))
def test_normalized_levenshtein_is_the_definition(pairs):
    pairs = [*pairs, ([1, 2], [2])]
    truth, predicted = zip(*[(" ".join(map(str, a)), " ".join(map(str, b))) for a, b in pairs], strict=True)
    expected = sum(plainly(a, b) for a, b in pairs) / sum(len(a) for a, _ in pairs)
    assert normalized_levenshtein(truth, predicted) == pytest.approx(expected, abs=1e-12)


def test_minus_one_is_not_minus_two():
    assert hash(-1) == hash(-2)  # why numbers are replaced by codes
    assert normalized_levenshtein(["-1 5"], ["-2 5"]) == 0.5


def test_numbers_are_read_as_numbers():
    assert normalized_levenshtein(["1 20 3"], ["  01\t+20\n3 "]) == 0
    assert normalized_levenshtein(["1 20 3"], [""]) == 1
    assert normalized_levenshtein(["1", "2"], ["1 1 1 1 1", "2"]) == 2


def test_what_is_no_list_of_numbers():
    with pytest.raises(InvalidSubmissionError, match="row 2"):
        normalized_levenshtein(["1", "2"], ["1", "2.0"])
    with pytest.raises(GraderError, match="answers"):
        normalized_levenshtein(["1", "x"], ["1", "2"])
    with pytest.raises(GraderError, match="no number"):
        normalized_levenshtein(["", ""], ["1", "2"])
