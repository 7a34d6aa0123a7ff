"""Kendall's tau against the count of all pairs, and against scipy."""

import math
import random
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau

from mleb_text.orders import NotTheItemsError, inversions, pooled_kendall_tau


def swapped_pairs(true, guess):
    """Pairs of items in the opposite order, one by one."""
    return sum(guess.index(a) > guess.index(b) for a, b in combinations(true, 2))


def orders(seed, sizes):
    draw = random.Random(seed)
    rows = []
    for n in sizes:
        true = [f"{i:x}" for i in draw.sample(range(10**6), n)]
        guess = list(true)
        for _ in range(draw.randrange(2 * n + 1)):
            i, j = draw.randrange(n), draw.randrange(n)
            guess[i], guess[j] = guess[j], guess[i]
        rows.append((true, guess))
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_it_is_the_definition(seed):
    draw = random.Random(seed)
    rows = orders(seed, [2, *(draw.choice([1, 2, 3, 7, 8, 9, 40]) for _ in range(30))])
    truth, predicted = ([" ".join(row[side]) for row in rows] for side in (0, 1))
    swaps = sum(swapped_pairs(true, guess) for true, guess in rows)
    pairs = sum(len(true) * (len(true) - 1) for true, _ in rows)
    assert pooled_kendall_tau(truth, predicted) == pytest.approx(1 - 4 * swaps / pairs, abs=1e-12)


def test_of_one_row_it_is_scipys():
    ((true, guess),) = orders(5, [60])
    expected = kendalltau(range(60), [true.index(item) for item in guess]).statistic
    assert pooled_kendall_tau([" ".join(true)], [" ".join(guess)]) == pytest.approx(expected, abs=1e-12)


def test_long_rows_weigh_more():
    reversed_short = pooled_kendall_tau(["a b", "1 2 3 4 5"], ["b a", "1 2 3 4 5"])
    reversed_long = pooled_kendall_tau(["a b", "1 2 3 4 5"], ["a b", "5 4 3 2 1"])
    assert reversed_short == pytest.approx(1 - 4 * 1 / 22)
    assert reversed_long == pytest.approx(1 - 4 * 10 / 22)


def test_the_same_item_in_two_rows():
    assert pooled_kendall_tau(["a b c", "c b a"], [" a\tb\nc", "c b a"]) == 1
    assert pooled_kendall_tau(["a b c", "c b a"], ["c b a", "a b c"]) == -1


def test_nothing_to_order():
    assert math.isnan(pooled_kendall_tau(["a", "b"], ["a", "b"]))


@pytest.mark.parametrize("sizes", [[], [0], [1], [0, 3, 0, 1, 5], [1000], [17] * 50])
def test_inversions(sizes):
    draw = np.random.default_rng(len(sizes))
    rows = [draw.permutation(n) for n in sizes]
    expected = sum(int(row[i] > row[j]) for row in rows for i, j in combinations(range(len(row)), 2))
    ranks = np.concatenate([np.empty(0, dtype=np.int64), *rows])
    assert inversions(ranks, np.array(sizes, dtype=np.int64)) == expected


@pytest.mark.parametrize(
    ("guess", "problem"),
    [
        ("1 2", "2 items where 3 are expected"),
        ("1 2 3 3", "4 items where 3 are expected"),
        ("1 2 x", "'x' is none of the items"),
        ("1 2 a", "'a' is none of the items"),  # an item of the row before
        ("1 2 2", "'2' stands there twice"),
    ],
)
def test_what_is_no_order_of_the_items(guess, problem):
    with pytest.raises(NotTheItemsError) as caught:
        pooled_kendall_tau(["a b", "1 2 3", "c d"], ["b a", guess, "d c"])
    assert caught.value.row == 1
    assert problem in caught.value.problem
