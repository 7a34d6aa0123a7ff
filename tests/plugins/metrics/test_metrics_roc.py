"""ROC areas against scikit-learn and against their definitions, pair by pair."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mleb_core.errors import GraderError
from mleb_metrics import roc

score = st.sampled_from([-2.0, 0.0, 0.25, 0.5, 0.5000000001, 1.0, 1e9]) | st.floats(-1e6, 1e6)
tables = st.lists(st.tuples(st.booleans(), score), min_size=2, max_size=60)


def both_classes(rows):
    truth, predicted = np.array([t for t, _ in rows]), np.array([p for _, p in rows])
    assume(truth.any() and not truth.all())
    return truth.astype(int), predicted


@settings(deadline=None)
@given(tables)
def test_auc_counts_pairs(rows):
    t, p = both_classes(rows)
    wins = [(a > b) + 0.5 * (a == b) for a in p[t == 1] for b in p[t == 0]]
    assert roc.roc_auc(t, p) == pytest.approx(np.mean(wins), abs=1e-12)
    assert roc.roc_auc(t, p) == pytest.approx(sk.roc_auc_score(t, p), abs=1e-12)


def test_auc_of_many_rows_and_ties_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    t = rng.random(200_000) < 0.03
    for p in (rng.normal(size=t.size) + t, np.round(rng.normal(size=t.size) + t, 1), (rng.random(t.size) < 0.5) * 1.0):
        assert roc.roc_auc(t, p) == pytest.approx(sk.roc_auc_score(t, p), abs=1e-12)


def test_auc_edge_cases():
    assert roc.roc_auc([0, 1], [0.1, 0.9]) == 1
    assert roc.roc_auc([0, 1], [0.9, 0.1]) == 0
    assert roc.roc_auc([0, 1, 1], [5, 5, 5]) == 0.5
    assert roc.roc_auc([0, 1], [0.0, -0.0]) == 0.5
    assert roc.roc_auc([0, 1, 0], [0.0, np.inf, 5e-324]) == 1
    assert roc.roc_auc([0, 1, 0], [-np.inf, np.inf, 2**53]) == 1
    assert roc.roc_auc([1, 2, 2], [0.3, 0.1, 0.4], positive=2) == 0.5
    assert np.isnan(roc.roc_auc([0, 1], [np.nan, 1]))
    for one_class in ([0, 0], [1, 1]):
        with pytest.raises(GraderError, match="one class"):
            roc.roc_auc(one_class, [0.1, 0.2])
    with pytest.raises(ValueError, match="one target column"):
        roc.roc_auc([[0, 1]], [[0, 1]])


def test_columns_are_averaged():
    rng = np.random.default_rng(2)
    t, p = rng.random((500, 4)) < [0.1, 0.5, 0.9, 0.3], np.round(rng.random((500, 4)), 2)
    assert roc.mean_column_wise_roc_auc(t, p) == pytest.approx(sk.roc_auc_score(t, p, average="macro"), abs=1e-12)
    assert roc.mean_column_wise_roc_auc(t[:, 0], p[:, 0]) == roc.roc_auc(t[:, 0], p[:, 0])
    t[:, 2] = True
    with pytest.raises(GraderError, match="one class"):
        roc.mean_column_wise_roc_auc(t, p)


def banded(truth, predicted, edges, weights):
    """The area point by point, over FPR, on scikit-learn's curve."""
    fpr, tpr, _ = sk.roc_curve(truth, predicted)
    total = 0.0
    for low, high, weight in zip(edges[:-1], edges[1:], weights, strict=True):
        points = [(x, y) for x, y in zip(fpr, tpr, strict=True) if low <= y <= high]
        if low not in tpr:
            points.insert(0, (np.interp(low, tpr, fpr), low))
        if high not in tpr:
            points.append((np.interp(high, tpr, fpr), high))
        points.append((1.0, high))
        total += weight * sk.auc(*zip(*[(x, y - low) for x, y in points], strict=True))
    return total / sum(w * (b - a) for a, b, w in zip(edges[:-1], edges[1:], weights, strict=True))


@settings(deadline=None)
@given(tables)
def test_weighted_auc_is_the_area_in_bands(rows):
    t, p = both_classes(rows)
    assert roc.weighted_auc(t, p) == pytest.approx(banded(t, p, [0, 0.4, 1], [2, 1]), abs=1e-12)
    assert roc.weighted_auc(t, p, edges=[0, 1], weights=[3]) == pytest.approx(roc.roc_auc(t, p), abs=1e-12)
    edges, weights = [0, 0.1, 0.5, 1], [4, 2, 1]
    got = roc.weighted_auc(t, p, edges=edges, weights=weights)
    assert got == pytest.approx(banded(t, p, edges, weights), abs=1e-12)


def test_weighted_auc_by_hand():
    assert roc.weighted_auc([0, 1], [0, 1]) == 1
    assert roc.weighted_auc([0, 1], [1, 0]) == 0
    # The diagonal: 0.4 * (0.6 + 0.2) under the lower band, 0.6 * 0.3 under the upper.
    assert roc.weighted_auc([0, 1], [7, 7]) == pytest.approx((2 * 0.32 + 0.18) / 1.4)
    # A point of the curve on the edge, with a horizontal run there: 2 of 5 positives, then half the negatives.
    truth, predicted = [1, 1, 0, 1, 1, 1, 0], [9, 8, 7, 6, 5, 4, 3]
    assert roc.weighted_auc(truth, predicted) == pytest.approx((2 * 0.4 + 0.3) / 1.4)
    assert np.isnan(roc.weighted_auc([0, 1], [np.nan, 1]))
    with pytest.raises(GraderError):
        roc.weighted_auc([1, 1], [0, 1])


def test_unintended_bias_is_the_published_formula():
    rng = np.random.default_rng(3)
    truth, groups = rng.random(3000), rng.random((3000, 3))
    groups[groups > 0.9] = np.nan
    predicted = truth * 0.5 + rng.random(3000) * 0.6 + (groups[:, 0] >= 0.5) * 0.2
    y = truth >= 0.5
    subgroup, background_positive, background_negative = [], [], []
    for j in range(3):
        g = groups[:, j] >= 0.5
        subgroup.append(sk.roc_auc_score(y[g], predicted[g]))
        rows = (g & ~y) | (~g & y)
        background_positive.append(sk.roc_auc_score(y[rows], predicted[rows]))
        rows = (g & y) | (~g & ~y)
        background_negative.append(sk.roc_auc_score(y[rows], predicted[rows]))
    parts = [sk.roc_auc_score(y, predicted)]
    parts += [np.mean(np.power(a, -5)) ** (-1 / 5) for a in (subgroup, background_positive, background_negative)]
    got = roc.unintended_bias_auc(truth, predicted, subgroups=groups)
    assert got == pytest.approx(np.mean(parts), abs=1e-12)
    cut = roc.unintended_bias_auc(truth, predicted, subgroups=groups, predicted_threshold=0.5)
    assert cut == roc.unintended_bias_auc(truth, (predicted >= 0.5) * 1, subgroups=groups) < got


def test_unintended_bias_edge_cases():
    truth, group = np.array([1, 0, 1, 0]), np.array([1, 1, 0, 0])
    assert roc.unintended_bias_auc(truth, truth, subgroups=group) == 1
    assert roc.unintended_bias_auc(truth, 1 - truth, subgroups=group) == 0
    missing = np.array([1, np.nan, 1, np.nan])
    assert np.isnan(roc.unintended_bias_auc(truth, missing, subgroups=group))
    assert roc.unintended_bias_auc(truth, missing, subgroups=group, predicted_threshold=0.5) == 1
    with pytest.raises(GraderError, match="selection"):
        roc.unintended_bias_auc(truth, truth, subgroups=np.zeros(4))
