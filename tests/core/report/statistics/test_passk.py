import itertools

import pytest

from mleb_core.report.statistics.grid import MedalGrid
from mleb_core.report.statistics.passk import pass_at_k, pass_at_ks


def test_it_is_the_share_of_all_subsets_with_a_pass():
    for attempts in range(1, 7):
        for passed in range(attempts + 1):
            outcomes = [True] * passed + [False] * (attempts - passed)
            for k in range(1, attempts + 1):
                subsets = list(itertools.combinations(outcomes, k))
                assert pass_at_k(attempts, passed, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_a_published_value():
    assert pass_at_k(200, 10, 1) == pytest.approx(0.05)


@pytest.mark.parametrize(("attempts", "passed", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 0), (3, 1, 4), (0, 0, 1)])
def test_what_cannot_be(attempts, passed, k):
    with pytest.raises(ValueError, match="no pass@"):
        pass_at_k(attempts, passed, k)


def test_over_competitions_a_missing_run_is_an_attempt_that_failed():
    verdicts = {("a", 0): True, ("a", 1): True, ("a", 2): False, ("b", 0): True}
    found = pass_at_ks(MedalGrid(("a", "b", "c"), (0, 1, 2), verdicts))
    assert [(p.k, p.attempts) for p in found] == [(1, 3), (2, 3), (3, 3)]
    assert [p.percentage for p in found] == pytest.approx([100 / 3, 100 * (1 + 2 / 3) / 3, 200 / 3])


def test_a_single_seed_has_none():
    assert pass_at_ks(MedalGrid(("a",), (0,), {("a", 0): True})) == ()
