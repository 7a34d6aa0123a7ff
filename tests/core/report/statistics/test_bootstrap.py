"""The two-level bootstrap, against scipy where one level is idle and against a plain loop where neither is."""

import random
import statistics

import numpy
import pytest
import scipy.stats

from mleb_core.report.statistics.bootstrap import bootstrap_interval


def test_with_one_seed_it_is_the_bootstrap_of_competitions_as_scipy_has_it():
    draw = random.Random(5)
    values = [draw.random() for _ in range(40)]
    expected = scipy.stats.bootstrap(
        (numpy.array(values),), numpy.mean, n_resamples=20_000, method="percentile", rng=numpy.random.default_rng(1)
    ).confidence_interval
    found = bootstrap_interval([[value] for value in values], draws=20_000)
    assert found == pytest.approx((expected.low, expected.high), abs=0.006)


def test_with_two_levels_it_is_the_loop_that_its_definition_tells():
    draw = random.Random(6)
    rows = [[float(draw.random() < (c % 4) / 4) for _ in range(5)] for c in range(12)]
    means = []
    for _ in range(20_000):
        drawn = [draw.choice(rows) for _ in rows]
        means.append(statistics.fmean(statistics.fmean(draw.choice(row) for _ in row) for row in drawn))
    cuts = statistics.quantiles(means, n=40)
    assert bootstrap_interval(rows, draws=20_000) == pytest.approx((cuts[0], cuts[-1]), abs=0.02)


def test_the_spread_is_that_of_theory():
    # Variance of the mean: Var(competition means, as drawn) / C + mean within-variance / (C * S).
    rows = [[0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 1]] * 10
    means = [statistics.fmean(row) for row in rows]
    within = statistics.fmean(statistics.pvariance(row) for row in rows)
    deviation = (statistics.pvariance(means) / len(rows) + within / (len(rows) * 3)) ** 0.5
    low, high = bootstrap_interval(rows, 0.6826895, draws=40_000)
    assert (high - low) / 2 == pytest.approx(deviation, rel=0.05)


def test_the_same_runs_give_the_same_interval_and_order_of_drawing_is_that_of_the_seed():
    rows = [[0, 1], [1, 1], [0, 0], [1, 0]]
    assert bootstrap_interval(rows) == bootstrap_interval(rows)
    assert bootstrap_interval(rows, 0.5) != bootstrap_interval(rows, 0.99)


def test_where_nothing_varies_there_is_no_width():
    assert bootstrap_interval([[1, 1], [1, 1]]) == (1, 1)


def test_a_single_competition_has_no_interval():
    assert bootstrap_interval([[0, 1, 1]]) is None


def test_many_runs_are_drawn_in_parts():
    rows = [[float((c + s) % 2) for s in range(500)] for c in range(300)]  # 150,000 values, 7 samples at a time
    low, high = bootstrap_interval(rows, draws=30)
    assert 0.49 < low <= high < 0.51


@pytest.mark.parametrize(
    ("rows", "options", "told"),
    [
        ([[1, 0], [1]], {}, "the same seeds"),
        ([[], []], {}, "at least one"),
        ([[1], [0]], {"confidence": 95}, "between 0 and 1"),
        ([[1], [0]], {"draws": 0}, "at least one draw"),
    ],
)
def test_what_cannot_be(rows, options, told):
    with pytest.raises(ValueError, match=told):
        bootstrap_interval(rows, **options)
