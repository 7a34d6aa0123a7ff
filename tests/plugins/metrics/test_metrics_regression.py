"""Errors and correlations of numbers against scikit-learn, scipy and plain loops."""

import math
import statistics

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_metrics import correlation, regression

number = st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float)
rows = st.lists(st.tuples(number, number), min_size=2, max_size=30)


def table(seed=0, n=200, k=3):
    rng = np.random.default_rng(seed)
    t = rng.gamma(2, 3, (n, k))
    return t, np.abs(t + rng.normal(size=(n, k)))


@settings(deadline=None)
@given(rows)
def test_errors_of_one_column(pairs):
    t, p = np.array(pairs).T
    assert regression.rmse(t, p) == pytest.approx(math.sqrt(sum((a - b) ** 2 for a, b in pairs) / len(pairs)))
    assert regression.mae(t, p) == pytest.approx(statistics.fmean(abs(a - b) for a, b in pairs))
    assert regression.rmse(t, p) == pytest.approx(sk.root_mean_squared_error(t, p))
    if np.ptp(t) > 1e-3:
        assert regression.r2(t, p) == pytest.approx(sk.r2_score(t, p), rel=1e-9, abs=1e-9)


def test_errors_of_several_columns():
    t, p = table()
    assert regression.rmse(t, p) == pytest.approx(sk.root_mean_squared_error(t.ravel(), p.ravel()))
    assert regression.mae(t, p) == pytest.approx(sk.mean_absolute_error(t, p))
    assert regression.rmsle(t, p) == pytest.approx(sk.root_mean_squared_log_error(t.ravel(), p.ravel()))
    columns = range(3)
    by_column = [math.sqrt(statistics.fmean((t[:, j] - p[:, j]) ** 2)) for j in columns]
    assert regression.mean_column_wise_rmse(t, p) == pytest.approx(statistics.fmean(by_column))
    by_column = [sk.root_mean_squared_log_error(t[:, j], p[:, j]) for j in columns]
    assert regression.mean_column_wise_rmsle(t, p) == pytest.approx(statistics.fmean(by_column))
    assert regression.r2(t, p) == pytest.approx(sk.r2_score(t, p))
    for metric in (regression.rmse, regression.mean_column_wise_rmse, regression.rmsle, regression.mae):
        assert metric(t, t) == 0


def test_r2_of_constant_truth_is_that_of_scikit_learn():
    t = np.array([[0.5, 1.0], [0.5, 2.0], [0.5, 4.0]])
    for p in (t, t + np.array([0.0, 0.5]), t + 0.5):
        assert regression.r2(t, p) == pytest.approx(sk.r2_score(t, p))
    # scikit-learn takes the rounding of the mean for variance here, and gives some -1e32.
    assert regression.r2([0.1, 0.1, 0.1], [0.6, 0.1, 0.1]) == 0
    assert math.isnan(regression.r2([1, 1], [1, np.nan]))


def test_mae_may_be_rounded_halves_to_even():
    for error, rounded in ((0.5, 0), (1.5, 2), (2.5, 2), (2.6, 3)):
        assert regression.mae([0.0, 10.0], [error, 10.0 + error], decimals=0) == rounded
    assert regression.mae([0.0], [0.12345], decimals=3) == 0.123
    assert math.isnan(regression.mae([0.0], [np.nan], decimals=0))


def test_logarithms_need_values_above_minus_1():
    assert regression.rmsle([0.0], [-0.5]) == pytest.approx(math.log(2))
    with pytest.raises(InvalidSubmissionError, match=r"^scored row 2 .*-1 has no ln"):
        regression.rmsle([1.0, 1.0], [1.0, -1.0])
    with pytest.raises(InvalidSubmissionError, match=r"^scored row 3 .*-2\.5 "):
        regression.mean_column_wise_rmsle(np.ones((3, 2)), [[1, 1], [1, 1], [1, -2.5]])
    with pytest.raises(GraderError, match="answers"):
        regression.rmsle([-1.0], [1.0])


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), number, number), min_size=1, max_size=30))
def test_log_mae_group_by_group(triples):
    groups, t, p = (np.array(side, dtype=kind) for side, kind in zip(zip(*triples, strict=True), "Odd", strict=True))
    logs, floored = [], []
    for g in set(groups):
        error = statistics.fmean(abs(a - b) for h, a, b in triples if h == g)
        assume(error == 0 or error > 1e-300)
        logs.append(math.log(error) if error else math.log(np.finfo(float).tiny))
        floored.append(math.log(max(error, 1e-9)))
    got = regression.group_mean_log_mae(t.astype(float), p.astype(float), groups=groups)
    # The error itself is a sum in another order; near 0 the logarithm is steep.
    assert got == pytest.approx(statistics.fmean(logs), abs=1e-6)
    floor = regression.group_mean_log_mae(t.astype(float), p.astype(float), groups=groups, floor=1e-9)
    assert floor == pytest.approx(statistics.fmean(floored), abs=1e-6)


def test_log_mae_of_perfect_predictions_is_finite():
    assert regression.group_mean_log_mae([1.0, 2.0], [1.0, 2.0], groups=["a", "b"]) == pytest.approx(-708.396, abs=1e-3)
    tiny = regression.group_mean_log_mae([0.0], [1e-12], groups=[1])
    assert tiny == pytest.approx(math.log(1e-12))
    assert regression.group_mean_log_mae([0.0], [1e-12], groups=[1], floor=1e-9) == pytest.approx(math.log(1e-9))


@settings(deadline=None)
@given(rows)
def test_correlations_are_those_of_scipy(pairs):
    t, p = np.array(pairs).T
    assume(np.ptp(t) > 1e-3 and np.ptp(p) > 1e-3)
    assert correlation.pearson(t, p) == pytest.approx(scipy.stats.pearsonr(t, p).statistic, abs=1e-6)
    assert correlation.spearman(t, p) == pytest.approx(scipy.stats.spearmanr(t, p).statistic, abs=1e-9)


def test_pearson_is_exact_to_12_digits_on_ordinary_data():
    t, p = table(1, 1000, 1)
    assert correlation.pearson(t, p) == pytest.approx(np.corrcoef(t[:, 0], p[:, 0])[0, 1], abs=1e-12)
    assert correlation.pearson(t * 1e300, p * 1e-300) == pytest.approx(correlation.pearson(t, p), abs=1e-9)


def test_spearman_by_column_counts_a_constant_column_as_0():
    t, p = table(2)
    p = np.round(p, 0)
    expected = [scipy.stats.spearmanr(t[:, j], p[:, j]).statistic for j in range(3)]
    assert correlation.mean_column_wise_spearman(t, p) == pytest.approx(statistics.fmean(expected))
    p[:, 1] = 0.1
    kept = (expected[0] + expected[2]) / 3
    assert correlation.mean_column_wise_spearman(t, p) == pytest.approx(kept)
    assert correlation.mean_column_wise_spearman(t, np.full_like(t, 0.1)) == 0


@pytest.mark.parametrize("metric", [correlation.pearson, correlation.spearman])
def test_undefined_correlations_are_0_and_holes_are_nan(metric):
    assert metric([1, 2, 3], [0.1, 0.1, 0.1]) == 0
    assert metric([0.1, 0.1, 0.1], [1, 2, 3]) == 0
    for hole in (np.nan, np.inf, -np.inf):
        assert math.isnan(metric([1, 2, 3], [1, hole, 2]))
    assert metric([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert metric([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
