"""Metrics of hard labels against scikit-learn and against counting by hand."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_metrics import classification as ours

# scikit-learn's own remark where one label is all there is.
pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 5)), min_size=2, max_size=40)
words = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd ")), min_size=1, max_size=30)
flags = st.integers(2, 5).flatmap(
    lambda k: st.lists(
        st.tuples(st.lists(st.booleans(), min_size=k, max_size=k), st.lists(st.booleans(), min_size=k, max_size=k)),
        min_size=1,
        max_size=20,
    )
)


def sides(rows):
    return np.array([t for t, _ in rows]), np.array([p for _, p in rows])


@settings(deadline=None)
@given(labels)
def test_labels_score_as_in_scikit_learn(rows):
    t, p = sides(rows)
    assert ours.accuracy(t, p) == pytest.approx(sk.accuracy_score(t, p), abs=1e-12)
    assert ours.micro_f1(t, p) == pytest.approx(sk.f1_score(t, p, average="micro", zero_division=0), abs=1e-12)
    assert ours.macro_f1(t, p) == pytest.approx(sk.f1_score(t, p, average="macro", zero_division=0), abs=1e-12)
    assert ours.mcc(t, p) == pytest.approx(sk.matthews_corrcoef(t, p), abs=1e-9)
    recall = [np.mean(p[t == c] == c) for c in sorted(set(t.tolist()))]
    assert ours.balanced_accuracy(t, p) == pytest.approx(np.mean(recall), abs=1e-12)
    for positive, beta in ((1, 1.0), (2, 0.5)):
        expected = sk.fbeta_score(t == positive, p == positive, beta=beta, zero_division=0)
        assert ours.f1(t, p, positive=positive, beta=beta) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(labels)
def test_kappa_is_that_of_the_full_matrices(rows):
    t, p = sides(rows)
    scale = sorted({*t.tolist(), *p.tolist()})
    observed = np.array([[np.sum((t == a) & (p == b)) for b in scale] for a in scale])
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / len(t)
    weights = np.array([[(i - j) ** 2 for j in range(len(scale))] for i in range(len(scale))])
    got = ours.quadratic_weighted_kappa(t, p)
    if (weights * expected).sum() == 0:
        assert np.isnan(got)
    else:
        assert got == pytest.approx(1 - (weights * observed).sum() / (weights * expected).sum(), abs=1e-12)
        assert got == pytest.approx(sk.cohen_kappa_score(t, p, weights="quadratic"), abs=1e-9)


@settings(deadline=None)
@given(words)
def test_text_labels_score_as_in_scikit_learn(rows):
    t, p = (np.array(side, dtype=object) for side in sides(rows))
    as_text = [list(map(str, side)) for side in (t, p)]
    assert ours.accuracy(t, p) == pytest.approx(sk.accuracy_score(*as_text), abs=1e-12)
    assert ours.macro_f1(t, p) == pytest.approx(sk.f1_score(*as_text, average="macro", zero_division=0), abs=1e-12)
    assert ours.mcc(t, p) == pytest.approx(sk.matthews_corrcoef(*as_text), abs=1e-9)


@settings(deadline=None)
@given(flags)
def test_flag_columns_score_as_in_scikit_learn(rows):
    t, p = (side.astype(int) for side in sides(rows))
    for metric, average in ((ours.micro_f1, "micro"), (ours.macro_f1, "macro"), (ours.sample_f1, "samples")):
        assert metric(t, p) == pytest.approx(sk.f1_score(t, p, average=average, zero_division=0), abs=1e-12)
    assert ours.accuracy(t, p) == pytest.approx(sk.accuracy_score(t, p), abs=1e-12)


def test_numbers_are_equal_by_value_and_never_equal_to_text():
    assert ours.accuracy(np.array([1, 2, 0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 3)
    assert ours.accuracy(np.array([True, False]), np.array([1, 0])) == 1
    assert ours.accuracy(np.array([1, 2]), np.array(["1", "2"], dtype=object)) == 0
    assert ours.accuracy(np.array(["a", "b "], dtype=object), np.array(["A", "b"], dtype=object)) == 0


def test_missing_labels_are_a_class_of_their_own_and_wrong():
    truth = np.array(["a", "b", "b"], dtype=object)
    assert ours.accuracy(truth, np.array(["a", None, "b"], dtype=object)) == pytest.approx(2 / 3)
    assert ours.accuracy(np.array([1.0, 2.0]), np.array([1.0, np.nan])) == 0.5


def test_a_class_that_is_only_predicted_lowers_macro_f1():
    # classes 1: 1/1, 2: 2*1/(2+1), 9: 0
    assert ours.macro_f1(np.array([1, 2, 2]), np.array([1, 2, 9])) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_fractions_are_cut_towards_zero():
    truth = np.array([3, 0, 1])
    assert ours.macro_f1(truth, np.array([3.9, -0.9, 1.0]), truncate=True) == 1
    as_labels = np.array(["3", "0", "1"], dtype=object), np.array(["3.9", "-0.9", "1"], dtype=object)
    assert ours.macro_f1(*as_labels, truncate=True) == 1
    assert ours.macro_f1(truth, np.array([3.9, -0.9, 1.0])) == pytest.approx(1 / 5)


def test_undefined_cases():
    one = np.array([2, 2, 2])
    assert ours.mcc(one, one) == 0
    assert ours.mcc(np.array([0, 1, 1]), np.array([1, 1, 1])) == 0
    assert ours.quadratic_weighted_kappa(np.array([0, 1, 3]), np.array([1, 1, 1])) == pytest.approx(0, abs=1e-15)
    assert np.isnan(ours.quadratic_weighted_kappa(one, one))
    assert ours.f1(np.array([0, 1]), np.array([0, 0])) == 0
    nothing = np.zeros((2, 3), dtype=int)
    assert ours.micro_f1(nothing, nothing) == ours.macro_f1(nothing, nothing) == ours.sample_f1(nothing, nothing) == 0


def test_absent_labels_close_up_unless_a_scale_is_given():
    truth, predicted = np.array([0, 1, 4, 4]), np.array([0, 1, 4, 1])
    assert ours.quadratic_weighted_kappa(truth, predicted) == ours.quadratic_weighted_kappa(
        np.where(truth == 4, 2, truth), np.where(predicted == 4, 2, predicted)
    )
    scale = [0, 1, 2, 3, 4]
    expected = sk.cohen_kappa_score(truth, predicted, weights="quadratic", labels=scale)
    assert ours.quadratic_weighted_kappa(truth, predicted, labels=scale) == pytest.approx(expected)
    named = np.array(["low", "mid", "high", "high"], dtype=object)
    guess = np.array(["low", "mid", "high", "mid"], dtype=object)
    kappa = ours.quadratic_weighted_kappa(named, guess, labels=["low", "mid", "high"])
    assert kappa == pytest.approx(sk.cohen_kappa_score([0, 1, 2, 2], [0, 1, 2, 1], weights="quadratic"))


def test_labels_off_the_scale_name_the_row_or_blame_the_answers():
    with pytest.raises(InvalidSubmissionError, match=r"^scored row 2 .*label 7 is not one of \[0, 1\]"):
        ours.quadratic_weighted_kappa(np.array([0, 1]), np.array([0, 7]), labels=[0, 1])
    with pytest.raises(GraderError, match="scale"):
        ours.quadratic_weighted_kappa(np.array([0, 7]), np.array([0, 1]), labels=[0, 1])
    with pytest.raises(InvalidSubmissionError, match="no order"):
        ours.quadratic_weighted_kappa(np.array([0, 1]), np.array(["a", "b"], dtype=object))


def test_top_1_error_reads_the_first_of_a_list():
    truth = np.array([12, 3, 7, 5])
    guesses = np.array(["12 5 7", " 0003 ", "8 7", 5], dtype=object)
    assert ours.top_1_error(truth, guesses, listed=True) == 0.25
    assert ours.top_1_error(truth, np.array([12, 3, 8, 5])) == 0.25


@pytest.mark.parametrize("cell", ["12.0", "twelve", "12,5", "", "   ", "nan", None])
def test_a_list_that_starts_with_no_whole_number_is_refused(cell):
    with pytest.raises(InvalidSubmissionError, match=r"^scored row 2 .*whole number$"):
        ours.top_1_error(np.array([12, 12]), np.array(["12", cell], dtype=object), listed=True)


def test_kappa_handles_many_classes_in_little_memory():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 200_000, 200_000), rng.integers(0, 200_000, 200_000)
    assert abs(ours.quadratic_weighted_kappa(truth, predicted)) < 0.05


@pytest.mark.parametrize("metric", [ours.accuracy, ours.balanced_accuracy, ours.mcc, ours.macro_f1, ours.micro_f1])
def test_sides_of_other_lengths_are_an_error(metric):
    with pytest.raises(ValueError, match="shapes"):
        metric(np.array([1, 2, 3]), np.array([1, 2]))
    with pytest.raises(ValueError, match="no rows"):
        metric(np.array([]), np.array([]))
