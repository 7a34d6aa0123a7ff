"""The paired permutation test, against scipy's exact one and against exact counting."""

import itertools
import random

import numpy
import pytest
import scipy.stats

from mleb_core.report.statistics.permutation import paired_permutation_test


def scipy_p(values: list[float]) -> float:
    found = scipy.stats.permutation_test(
        (numpy.array(values),), numpy.sum, permutation_type="samples", n_resamples=numpy.inf, alternative="two-sided"
    )
    return float(found.pvalue)


@pytest.mark.parametrize("size", [2, 5, 10])
def test_exact_against_scipy(size):
    draw = random.Random(size)
    for _ in range(5):
        values = [draw.choice([-3, -2, -1, 1, 2, 3]) for _ in range(size)]
        found = paired_permutation_test(values)
        assert (found.method, found.draws) == ("exact", None)
        # scipy doubles the smaller tail; the null is symmetric, so for a sum other than 0 that is the same.
        assert found.p_value == pytest.approx(min(1, scipy_p(values)))


def test_exact_against_all_patterns_of_values_that_are_no_whole_numbers():
    draw = random.Random(9)
    values = [draw.choice([-1, 1]) * draw.choice([1 / 3, 0.1, 0.7, 0.2]) for _ in range(9)]
    patterns = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in itertools.product((-1, 1), repeat=9)
    ]
    expected = sum(total >= abs(sum(values)) - 1e-12 for total in patterns) / 2**9
    assert paired_permutation_test(values).p_value == pytest.approx(expected)


def test_seventy_five_competitions_are_exact_too_and_equal_the_binomial_test():
    values = [1] * 20 + [-1] * 6 + [0] * 49
    found = paired_permutation_test(values)
    assert found.method == "exact"
    assert found.p_value == pytest.approx(scipy.stats.binomtest(20, 26).pvalue)


def test_monte_carlo_comes_close_and_says_what_it_is():
    draw = random.Random(2)
    values = [draw.choice([-2, -1, 1, 2, 3]) for _ in range(14)]
    exact = paired_permutation_test(values)
    drawn = paired_permutation_test(values, most_sums=3)
    assert (drawn.method, drawn.draws) == ("monte-carlo", 100_000)
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.005)
    assert paired_permutation_test(values, most_sums=3) == drawn
    assert paired_permutation_test(values, most_sums=3, seed=1) != drawn


def test_many_different_values_are_drawn_and_p_is_never_zero():
    values = [1 + 2.0**-k for k in range(60)]
    found = paired_permutation_test(values, draws=999)
    assert (found.method, found.p_value) == ("monte-carlo", 1 / 1000)


def test_no_difference_at_all_is_no_evidence():
    assert paired_permutation_test([0, 0, 0]).p_value == 1
    assert paired_permutation_test([1, -1]).p_value == 1


@pytest.mark.parametrize("values", [[], [float("nan")], [1.0, float("inf")]])
def test_what_cannot_be(values):
    with pytest.raises(ValueError, match=r"at least one pair|finite"):
        paired_permutation_test(values)
