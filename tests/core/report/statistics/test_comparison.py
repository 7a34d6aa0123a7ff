"""Two agents compared: pairs by key, never by position; what only one side has is named."""

import pytest
import scipy.stats

from mleb_core.errors import UnknownIdError, UsageError
from mleb_core.report.build import group_report, run_report
from mleb_core.report.statistics.comparison import compare


@pytest.fixture
def make(group, graded, finished):
    """`make(competitions, seeds, medals, missing)`: a group's report with an agent `dummy`."""

    def build(competitions, seeds, medals=(), missing=(), order=1):
        asked = group.model_copy(
            update={"competitions": tuple(competitions), "agents": ("dummy",), "seeds": seeds, "name": f"g{seeds}"}
        )
        keys = [key for key in asked.run_keys() if (key.competition, key.seed) not in missing]
        runs = [finished(key) for key in keys][::order]
        grades = {
            run.key: run_report(
                run, graded(run.key.competition, "bronze" if (run.key.competition, run.key.seed) in medals else "none")
            )
            for run in runs
        }
        return group_report(asked, runs, grades)

    return build


def test_figures_worked_by_hand(make):
    a = make(["x", "y", "z"], 2, {("x", 0), ("x", 1), ("y", 0)})
    b = make(["x", "y", "z"], 2, {("z", 1)})
    found = compare(a, "dummy", b, "dummy")
    assert found.difference == pytest.approx(100 * (2 + 1 - 1) / 6)
    assert [c.difference for c in found.competitions] == pytest.approx([100, 50, -50])
    # Sums 2, 1, -1: of the 8 sign patterns, sums 4 2 2 0 0 -2 -2 -4; six are at least 2 away from 0.
    assert (found.p_value, found.p_method) == (0.75, "exact")
    low, high = found.interval
    assert low < found.difference < high
    assert (found.a_better, found.b_better, found.equal) == (2, 1, 0)
    assert (found.runs, found.both_graded) == (6, 6)
    assert found.a.any_medal_percentage.mean == 50


def test_it_goes_by_competition_and_seed_whatever_the_order(make):
    medals = {("x", 0), ("y", 1)}
    a = make(["x", "y", "z"], 2, medals)
    b = make(["z", "y", "x"], 2, medals, order=-1)
    found = compare(a, "dummy", b, "dummy")
    assert (found.difference, found.p_value, found.interval) == (0, 1, (0, 0))
    assert {c.difference for c in found.competitions} == {0}


def test_swapping_sides_turns_the_signs(make):
    a = make(["x", "y", "z", "w"], 3, {("x", 0), ("x", 1), ("y", 2), ("w", 0)})
    b = make(["x", "y", "z", "w"], 3, {("z", 0)})
    there, back = compare(a, "dummy", b, "dummy"), compare(b, "dummy", a, "dummy")
    assert there.difference == -back.difference
    assert there.p_value == back.p_value
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))


def test_a_missing_run_counts_as_no_medal_and_is_said(make):
    a = make(["x", "y"], 2, {("x", 0), ("x", 1)}, missing={("x", 1), ("y", 0)})
    b = make(["x", "y"], 2, {("x", 0)}, missing={("y", 0)})
    found = compare(a, "dummy", b, "dummy")
    assert found.difference == 0
    assert (found.a.graded, found.a.missing, found.b.graded, found.b.missing) == (2, 2, 3, 1)
    assert (found.runs, found.both_graded) == (4, 2)
    assert [(c.graded_a, c.graded_b) for c in found.competitions] == [(1, 2), (1, 1)]


def test_what_only_one_side_was_asked_is_named_and_left_out(make):
    a = make(["x", "y", "y@2"], 3, {("y@2", 0)})
    b = make(["y", "q"], 2, {("q", 0), ("y", 0)})
    found = compare(a, "dummy", b, "dummy")
    assert [c.competition for c in found.competitions] == ["y"]
    assert found.seeds == (0, 1)
    assert (found.a.not_compared, found.b.not_compared) == (("x", "y@2"), ("q",))
    assert (found.a.seeds_not_compared, found.b.seeds_not_compared) == ((2,), ())
    assert (found.difference, found.interval) == (-50, None)


def test_many_competitions_against_the_sign_test(make):
    names = [f"c{number}" for number in range(30)]
    a = make(names, 1, {(name, 0) for name in names[:17]})
    b = make(names, 1, {(name, 0) for name in names[13:20]})
    found = compare(a, "dummy", b, "dummy")
    assert (found.a_better, found.b_better) == (13, 3)
    assert found.p_value == pytest.approx(scipy.stats.binomtest(13, 16).pvalue)


def test_nothing_in_common_and_unknown_agents(make):
    with pytest.raises(UsageError, match="no competition in common"):
        compare(make(["x"], 1), "dummy", make(["x@2"], 1), "dummy")
    with pytest.raises(UnknownIdError, match="did you mean dummy"):
        compare(make(["x"], 1), "dummi", make(["x"], 1), "dummy")
