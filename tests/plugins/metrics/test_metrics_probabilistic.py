"""Metrics of probabilities against scikit-learn, scipy and loops over rows."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_metrics import probabilistic as ours

probability = st.sampled_from([0.0, 1.0, 1e-17, 1e-15, 0.5]) | st.floats(0, 1)
binary = st.lists(st.tuples(st.integers(0, 1), probability), min_size=1, max_size=30)


def cost(y, p, eps):
    p = min(max(p, eps), 1 - eps)
    return -math.log(p) if y else -math.log1p(-p)


@settings(deadline=None)
@given(binary)
def test_binary_log_loss(rows):
    t, p = np.array([y for y, _ in rows]), np.array([q for _, q in rows])
    expected = sum(cost(y, q, ours.EPS) for y, q in rows) / len(rows)
    assert ours.log_loss(t, p) == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert ours.log_loss(t, p) == pytest.approx(sk.log_loss(t, p, labels=[0, 1]), rel=1e-9, abs=1e-15)
    table = np.column_stack([t, 1 - t]), np.column_stack([p, p])
    both = (ours.log_loss(t, p) + ours.log_loss(1 - t, p)) / 2
    assert ours.multi_label_log_loss(*table) == pytest.approx(both, rel=1e-12, abs=1e-15)


def test_a_sure_mistake_costs_the_logarithm_of_the_clip():
    assert ours.log_loss([1], [0]) == pytest.approx(36.04365, abs=1e-5)
    assert ours.log_loss([1, 0], [1, 0]) < 1e-15
    assert ours.log_loss([1], [0], eps=1e-15) == pytest.approx(-math.log(1e-15))
    assert math.isnan(ours.log_loss([1], [np.nan]))


def shares(rng, rows, classes):
    p = rng.random((rows, classes)) ** 3
    return p / p.sum(axis=1, keepdims=True)


def test_multi_class_log_loss_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 5, 300)
    p = shares(rng, 300, 5)
    p[:3] = np.eye(5)[[0, 1, 2]]
    t = np.eye(5)[classes]
    assert ours.multi_class_log_loss(t, p) == pytest.approx(sk.log_loss(classes, p, labels=range(5)), rel=1e-12)
    by_row = np.mean([cost(1, p[i, c], ours.EPS) for i, c in enumerate(classes)])
    assert ours.multi_class_log_loss(t, p) == pytest.approx(by_row, rel=1e-12)
    assert ours.multi_class_log_loss(t, p * 0.5) == pytest.approx(
        np.mean([cost(1, p[i, c] / 2, ours.EPS) for i, c in enumerate(classes)])
    )


def test_kl_divergence_of_votes():
    rng = np.random.default_rng(1)
    votes, q = rng.integers(0, 5, (200, 6)) * (rng.random((200, 6)) < 0.6), shares(rng, 200, 6)
    votes[:, 0] += 1
    p = votes / votes.sum(axis=1, keepdims=True)
    q[0] = np.eye(6)[1]
    expected = np.mean(rel_entr(p, np.clip(q, 1e-15, 1 - 1e-15)).sum(axis=1))
    assert ours.kl_divergence(votes, q) == pytest.approx(expected, rel=1e-12)
    assert ours.kl_divergence(p, p) == pytest.approx(0, abs=1e-14)
    assert ours.kl_divergence([[0, 3]], [[1, 0]]) == pytest.approx(-math.log(1e-15))
    with pytest.raises(GraderError, match="votes"):
        ours.kl_divergence([[0, 0]], [[0.5, 0.5]])


def test_weighted_losses_study_by_study():
    rng = np.random.default_rng(2)
    labels = ["patient_overall", *(f"C{i}" for i in range(1, 8))]
    rows = [(f"s{i}", name, int(rng.random() < 0.4), rng.random()) for i in range(20) for name in labels]
    rows += [("s3", "C1", 1, 0.0), ("s4", "C2", 0, 1.0)]
    rng.shuffle(rows)
    rows = [(g, name, int(y), float(p)) for g, name, y, p in rows]
    weights = {"patient_overall": [7, 14], "*": [1, 2]}
    studies = []
    for study in {g for g, *_ in rows}:
        own = [(weights.get(name, weights["*"])[y], cost(y, p, 1e-15)) for g, name, y, p in rows if g == study]
        studies.append(sum(w * c for w, c in own) / sum(w for w, _ in own))
    groups, names, t, p = (np.array(column, dtype=object) for column in zip(*rows, strict=True))
    got = ours.weighted_multi_label_log_loss(t, p, groups=groups, labels=names, weights=weights)
    assert got == pytest.approx(np.mean(studies), rel=1e-12)
    with pytest.raises(GraderError, match="weights"):
        ours.weighted_multi_label_log_loss(t, p, groups=groups, labels=names, weights={"patient_overall": [7, 14]})
    with pytest.raises(GraderError, match="pair"):
        ours.weighted_multi_label_log_loss(t, p, groups=groups, labels=names, weights={"*": [1]})


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.floats(-0.5, 1.5)), min_size=1, max_size=20))
def test_probabilistic_f1(rows):
    t, p = np.array([y for y, _ in rows]), np.array([q for _, q in rows])
    hits = sum(min(max(q, 0), 1) for y, q in rows if y)
    false = sum(min(max(q, 0), 1) for y, q in rows if not y)
    if not t.any():
        with pytest.raises(GraderError, match="no positive"):
            ours.probabilistic_f1(t, p)
    elif (p < 0).all():
        with pytest.raises(InvalidSubmissionError, match="below 0"):
            ours.probabilistic_f1(t, p)
    elif hits == 0:
        assert ours.probabilistic_f1(t, p) == 0
    else:
        precision, recall = hits / (hits + false), hits / t.sum()
        # Subnormal hits: precision times recall vanishes before F does.
        expected = 2 / (1 / precision + 1 / recall) if precision > 1e-300 and recall > 1e-300 else 0
        assert ours.probabilistic_f1(t, p) == pytest.approx(expected, rel=1e-9, abs=1e-290)


def test_probabilistic_f1_of_hard_labels_is_f1():
    t, p = np.array([1, 1, 0, 0, 1]), np.array([1, 0, 1, 0, 1])
    assert ours.probabilistic_f1(t, p) == pytest.approx(sk.f1_score(t, p))
    assert ours.probabilistic_f1(t, p * 0) == 0
    assert math.isnan(ours.probabilistic_f1(t, [1, np.nan, 0, 0, 0]))


def laplace(value, guess, sigma):
    s, d = max(sigma, 70), min(abs(value - guess), 1000)
    return -math.sqrt(2) * d / s - math.log(math.sqrt(2) * s)


def test_laplace_log_likelihood_row_by_row():
    truth = np.array([2000.0, 2500.0, 3000.0, 1800.0])
    predicted = np.array([[2100, 200], [2500, 10], [9000, 300], [1800, np.nan]])
    rows = zip(truth, predicted, strict=True)
    expected = np.mean([laplace(t, p, 0 if math.isnan(s) else s) for t, (p, s) in rows])
    assert ours.laplace_log_likelihood(truth, predicted) == pytest.approx(expected, rel=1e-12)
    both = np.column_stack([truth, np.full(4, 100)])
    assert ours.laplace_log_likelihood(both, predicted) == pytest.approx(expected, rel=1e-12)
    perfect = np.column_stack([truth, np.full(4, 70)])
    assert ours.laplace_log_likelihood(truth, perfect) == pytest.approx(-4.59507, abs=1e-5)


def test_laplace_faults():
    assert math.isnan(ours.laplace_log_likelihood([1.0], [[math.nan, 70]]))
    with pytest.raises(GraderError, match="lack a value"):
        ours.laplace_log_likelihood([math.nan], [[1, 70]])
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        ours.laplace_log_likelihood([1.0], [1.0])
