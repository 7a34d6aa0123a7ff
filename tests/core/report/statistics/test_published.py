"""The published aggregation: padding, columns, and alignment by key."""

import statistics

import pytest

from mleb_core.errors import UsageError
from mleb_core.report.build import group_report, run_report
from mleb_core.report.leaderboard_row import to_leaderboard
from mleb_core.report.standings import against, standing_named
from mleb_core.report.statistics.grid import MedalGrid
from mleb_core.report.statistics.published import published_report, published_result

SPLITS = {"low": ["iris", "zoo"], "medium": ["wine"], "high": ["digits"], "all": ["iris", "zoo", "wine", "digits"]}


@pytest.fixture
def report(group, graded, finished):
    """`dummy` has medals on iris (all seeds) and wine (seed 1); its last run is missing. `aide/o1` has nothing."""
    runs = [finished(key) for key in group.run_keys() if key.agent == "dummy"][:-1]
    medals = {("iris", 0), ("iris", 1), ("iris", 2), ("wine", 1)}
    return group_report(
        group,
        reversed(runs),  # the order in which runs come is no matter
        {
            run.key: run_report(
                run, graded(run.key.competition, "gold" if (run.key.competition, run.key.seed) in medals else "none")
            )
            for run in runs
        },
    )


def test_every_column_is_over_its_whole_split_and_what_is_missing_has_no_medal(report):
    row, empty = published_report([report], SPLITS).rows
    found = {result.split: result for result in row.splits}
    assert list(found) == ["low", "medium", "high", "all"]
    per_seed = {"low": [50, 50, 50], "medium": [0, 100, 0], "high": [0, 0, 0], "all": [25, 50, 25]}
    for split, values in per_seed.items():
        estimate = found[split].any_medal_percentage
        assert estimate.mean == pytest.approx(statistics.mean(values))
        assert estimate.standard_error == pytest.approx(statistics.stdev(values) / 3**0.5)
    counts = {split: (result.runs, result.graded, result.padded) for split, result in found.items()}
    assert counts == {"low": (6, 3, 3), "medium": (3, 3, 0), "high": (3, 2, 1), "all": (12, 8, 4)}
    assert [result.any_medal_percentage.mean for result in empty.splits] == [0, 0, 0, 0]
    assert [result.graded for result in empty.splits] == [0, 0, 0, 0]


def test_missing_seeds_are_padded_only_as_asked(report):
    row = published_report([report], SPLITS, seeds=4).rows[0]
    low = row.splits[0].any_medal_percentage
    assert (low.mean, low.seeds) == (37.5, 4)
    assert low.standard_error == pytest.approx(statistics.stdev([50, 50, 50, 0]) / 2)
    with pytest.raises(UsageError, match="has 3 seeds, and none is left out"):
        published_report([report], SPLITS, seeds=2)


def test_a_column_that_was_not_asked_for_is_empty(report):
    splits = SPLITS | {"high": ["other"], "all": ["iris", "zoo", "wine", "other"]}
    row = published_report([report], splits).rows[0]
    assert [result.any_medal_percentage is None for result in row.splits] == [False, False, True, True]
    page = to_leaderboard(published_report([report], splits))
    assert "| dummy | - | 50.00 ± 0.00 | 33.33 ± 33.33 | - | - | 0.0167 | 2026-01-31 |" in page
    assert "dummy, low: rests on 3 of 6 runs" in page


def test_a_group_of_other_competitions_stands_for_itself(report):
    row = published_report([report], {}).rows[0]
    (own,) = row.splits
    assert (own.split, own.runs, own.graded) == ("asked", 9, 8)
    assert own.any_medal_percentage.mean == pytest.approx(100 * 4 / 9)
    assert all(column.ours is None for column in against(row, standing_named("paper")).columns)


def test_the_lowest_edition_counts_where_there_are_several(report):
    grid = MedalGrid(("x", "x@2"), (0,), {("x", 0): True})
    assert published_result(grid, "s", ["x"]).any_medal_percentage.mean == 100
    assert published_result(grid, "s", ["x@2"]).any_medal_percentage.mean == 0
    (high,) = [r for r in published_report([report], SPLITS).rows[0].splits if r.split == "high"]
    assert high.graded == 2  # digits@2 stands for digits


def test_beside_a_published_row(report):
    found = against(published_report([report], SPLITS).rows[0], standing_named("paper"))
    low, *_, whole = found.columns
    assert (low.published, low.ours.mean, low.difference) == ((34.3, 2.4), 50, pytest.approx(15.7))
    assert low.difference_standard_error == pytest.approx(2.4)
    assert whole.published == (16.9, 1.1)
    assert whole.difference_standard_error == pytest.approx((1.1**2 + whole.ours.standard_error**2) ** 0.5)
    assert (whole.graded, whole.runs) == (8, 12)


def test_a_split_without_competitions_is_no_split():
    with pytest.raises(ValueError, match="no competitions"):
        published_result(MedalGrid(("x",), (0,), {}), "s", [])
