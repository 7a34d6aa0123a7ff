"""Row positions against computations of their own."""

import math

import numpy as np
import pandas as pd
import pytest

from mleb_core.errors import PreparationError
from mleb_core.prepare import grouped_split, random_split, stratified_split, time_split, values_split


@pytest.mark.parametrize(("rows", "share", "seed"), [(10, 0.1, 0), (101, 0.19, 3), (7, 0.5, 42)])
def test_random_is_the_start_of_a_permutation(rows, share, seed):
    order = np.random.RandomState(seed).permutation(rows)
    test = math.ceil(share * rows)
    parts = random_split(rows, share, seed=seed)
    assert parts.test.tolist() == order[:test].tolist()
    assert parts.train.tolist() == order[test:].tolist()
    assert parts.in_file_order().test.tolist() == sorted(order[:test])


def test_random_by_count_and_by_train_share():
    order = np.random.RandomState(0).permutation(50)
    assert random_split(50, 8).test.tolist() == order[:8].tolist()
    parts = random_split(50, None, train_size=0.75)
    assert parts.test.tolist() == order[:13].tolist()
    assert parts.train.tolist() == order[13:].tolist()


def test_stratified_keeps_the_shares():
    labels = ["a"] * 80 + ["b"] * 20
    parts = stratified_split(labels, 0.25)
    assert [labels[i] for i in parts.test].count("b") == 5
    assert sorted([*parts.train, *parts.test]) == list(range(100))


@pytest.mark.parametrize("order", ["appearance", "sorted"])
@pytest.mark.parametrize("kind", [int, str])
def test_grouped_keeps_groups_together_in_shuffled_order(order, kind):
    groups = [kind(g) for g in (10, 9, 10, 8, 2, 9, 7, 6, 5, 4, 3, 1, 1)]
    names = list(dict.fromkeys(groups)) if order == "appearance" else sorted(set(groups))
    shuffled = [names[i] for i in np.random.RandomState(5).permutation(len(names))]
    count = math.ceil(0.3 * len(names))
    wanted = [[i for name in part for i, g in enumerate(groups) if g == name] for part in
              (shuffled[count:], shuffled[:count])]  # fmt: skip
    parts = grouped_split(pd.Series(groups), 0.3, seed=5, order=order)
    assert [parts.train.tolist(), parts.test.tolist()] == wanted


def test_grouped_drops_the_groups_that_neither_size_takes():
    parts = grouped_split(list("aabbccdd"), 1, train_size=1)
    assert len(parts.train) == len(parts.test) == 2
    assert set(parts.train).isdisjoint(parts.test)


def test_time_never_cuts_through_a_time():
    times = ["2020-01-03", "2020-01-01", "2020-01-02", "2020-01-03", "2020-01-02"]
    parts = time_split(times, 0.2)
    assert parts.train.tolist() == [1, 2, 4]
    assert parts.test.tolist() == [0, 3]
    parts = time_split(times, since="2020-01-02")
    assert parts.train.tolist() == [1]
    assert parts.test.tolist() == [2, 4, 0, 3]
    assert time_split([3, 1, 2], 1).test.tolist() == [0]


def test_values():
    parts = values_split(["a", "b", "c", "a"], ["a"])
    assert parts.test.tolist() == [0, 3]
    assert parts.train.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda: random_split(1, 0.5), "1 rows cannot be split with test_size 0.5"),
        (lambda: random_split(5, 9), "5 rows cannot be split with test_size 9"),
        (lambda: random_split(0, 0.1), "0 rows cannot be split"),
        (lambda: stratified_split(["a", "b", "b"], 1), "3 rows cannot be split"),
        (lambda: stratified_split(["a", None, "b"], 1), "row 2 has no label to split by"),
        (lambda: grouped_split(["a", "a"], 0.5), "1 groups cannot be split"),
        (lambda: grouped_split(["a", None], 0.5), "row 2 has no group to split by"),
        (lambda: time_split([1, 2], 2), "2 rows cannot be split by time with test_size 2"),
        (lambda: time_split([1, 1, 1], 1), "leaves train empty"),
        (lambda: time_split([1, 2], since=5), "leaves test empty"),
        (lambda: time_split([1.0, float("nan")], 1), "row 2 has no time"),
        (lambda: time_split(["a", "b"], since=3), "cannot be compared with since = 3"),
        (lambda: values_split(["a"], ["b"]), "no row has the test value 'b'"),
        (lambda: values_split(["a"], ["a"]), "leave train empty"),
    ],
)
def test_what_cannot_be_split_is_one_line(split, message):
    with pytest.raises(PreparationError, match=message) as caught:
        split()
    assert "\n" not in str(caught.value)
