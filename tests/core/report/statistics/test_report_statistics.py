import random
import statistics

import numpy
import pytest
import scipy.stats

from mleb_core.report.statistics import estimate, mean, percentage, standard_error, t_interval


def test_against_numpy_and_scipy():
    draw = random.Random(3)
    for size in (2, 3, 5, 16, 50):
        values = [100 * draw.random() for _ in range(size)]
        assert mean(values) == pytest.approx(numpy.mean(values))
        assert standard_error(values) == pytest.approx(scipy.stats.sem(values, ddof=1))
        for confidence in (0.5, 0.95, 0.99):
            expected = scipy.stats.t.interval(
                confidence, df=size - 1, loc=numpy.mean(values), scale=scipy.stats.sem(values)
            )
            assert t_interval(values, confidence) == pytest.approx(expected)


def test_a_published_figure_comes_out():
    # Three seeds of 75 competitions with 13, 12 and 14 medals, worked by hand: sd = 1.3333, / sqrt(3) = 0.7698.
    values = [percentage(medals, 75) for medals in (13, 12, 14)]
    found = estimate(values)
    assert found.mean == pytest.approx(17.3333, abs=1e-4)
    assert found.standard_error == pytest.approx(0.7698, abs=1e-4)
    assert found.interval == pytest.approx((17.3333 - 4.3027 * 0.7698, 17.3333 + 4.3027 * 0.7698), abs=1e-3)
    assert found.seeds == 3


def test_a_single_seed_has_no_spread():
    assert standard_error([3.0]) is None
    assert t_interval([3.0]) is None
    assert estimate([3.0]).model_dump() == {"mean": 3.0, "standard_error": None, "interval": None, "seeds": 1}


def test_seeds_that_agree_have_an_interval_of_no_width():
    found = estimate([1 / 3] * 7)
    assert found.standard_error == 0
    assert found.interval == (found.mean, found.mean)
    assert found.mean == pytest.approx(1 / 3)


def test_many_small_values_are_summed_exactly():
    values = [1e16, 1.0, -1e16, 1.0]
    assert mean(values) == statistics.fmean(values) == 0.5


def test_percentage():
    assert [percentage(part, 3) for part in range(4)] == pytest.approx([0, 100 / 3, 200 / 3, 100])


@pytest.mark.parametrize(("part", "whole"), [(0, 0), (2, 1), (-1, 3), (1, -1)])
def test_percentages_that_cannot_be(part, whole):
    with pytest.raises(ValueError, match="no percentage"):
        percentage(part, whole)


@pytest.mark.parametrize("function", [mean, standard_error, t_interval, estimate])
def test_no_values(function):
    with pytest.raises(ValueError, match="at least one value"):
        function([])


@pytest.mark.parametrize("confidence", [0, 1, -0.5, 95])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_interval([1.0, 2.0], confidence)
