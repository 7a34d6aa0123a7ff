"""Sets of tags in a cell, against scikit-learn's indicator matrices and Python sets."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import MultiLabelBinarizer

from mleb_metrics.tags import read_cells, tag_micro_f1, tag_sample_f1

cell = st.lists(st.sampled_from(["a", "b", "c", "A", "x-1", "0"]), max_size=5).map(" ".join) | st.none()
tables = st.lists(st.tuples(cell, cell), min_size=1, max_size=20)


def column(*cells):
    return np.array(cells, dtype=object)


def as_sets(cells):
    return [set((c or "").split()) for c in cells]


@settings(deadline=None)
@given(tables)
def test_both_averages_are_those_of_scikit_learn(rows):
    truth, predicted = column(*(t for t, _ in rows)), column(*(p for _, p in rows))
    binarizer = MultiLabelBinarizer().fit([*as_sets(truth), *as_sets(predicted), {"other", "one more"}])
    t, p = binarizer.transform(as_sets(truth)), binarizer.transform(as_sets(predicted))
    micro = sk.f1_score(t, p, average="micro", zero_division=0)
    assert tag_micro_f1(truth, predicted) == pytest.approx(micro, abs=1e-12)
    samples = sk.f1_score(t, p, average="samples", zero_division=0)
    assert tag_sample_f1(truth, predicted) == pytest.approx(samples, abs=1e-12)


@settings(deadline=None)
@given(tables)
def test_unknown_tags_can_be_dropped(rows):
    truth, predicted = as_sets(t for t, _ in rows), as_sets(p for _, p in rows)
    known = set().union(*truth)
    hits = sum(len(t & p) for t, p in zip(truth, predicted, strict=True))
    extra = sum(len((p & known) - t) for t, p in zip(truth, predicted, strict=True))
    missed = sum(len(t - p) for t, p in zip(truth, predicted, strict=True))
    expected = 2 * hits / (2 * hits + extra + missed) if hits + extra + missed else 0
    got = tag_micro_f1(column(*(t for t, _ in rows)), column(*(p for _, p in rows)), ignore_unknown=True)
    assert got == pytest.approx(expected, abs=1e-12)
    each = [
        2 * len(t & p) / (len(t) + len(p & known)) if t or p & known else 0
        for t, p in zip(truth, predicted, strict=True)
    ]
    got = tag_sample_f1(column(*(t for t, _ in rows)), column(*(p for _, p in rows)), ignore_unknown=True)
    assert got == pytest.approx(sum(each) / len(each), abs=1e-12)


def test_order_repeats_and_kind_of_white_space_do_not_matter():
    truth = column("a b c", "d")
    assert tag_micro_f1(truth, column(" c\tb  a a\n", "d d")) == 1
    assert tag_sample_f1(truth, column("b c a", "d")) == 1


def test_rows_empty_on_both_sides():
    empty = column("", None, float("nan"))
    assert tag_micro_f1(empty, empty) == 0
    assert tag_sample_f1(empty, empty) == 0
    assert tag_sample_f1(empty, empty, empty_rows=1) == 1
    assert tag_sample_f1(column("a", ""), column("a", ""), empty_rows=1) == 1
    assert tag_sample_f1(column("a", ""), column("a", "b"), empty_rows=1) == 0.5


def test_cells_that_are_numbers_are_read_as_python_writes_them():
    assert read_cells(column("007", None, float("nan"), 7, 7.0)) == ["007", "", "", "7", "7.0"]
    assert read_cells(np.array([7, 12])) == ["7", "12"]


def test_sides_of_other_lengths_are_an_error():
    with pytest.raises(ValueError, match="same number"):
        tag_micro_f1(column("a"), column("a", "b"))
    with pytest.raises(ValueError, match="must have rows"):
        tag_sample_f1(column(), column())
