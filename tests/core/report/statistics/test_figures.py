"""Cost, time and medals over time, from real files."""

import json

import pytest

from mleb_core.gateway.records import ModelUsage, Tokens, Usage
from mleb_core.layout import GroupLayout
from mleb_core.report.build import group_report, run_report
from mleb_core.report.collect import collect_group
from mleb_core.report.models import RunSnapshots, SnapshotScore
from mleb_core.report.statistics.cost import RunCost, cost_figures
from mleb_core.report.statistics.figures import with_figures
from mleb_core.report.statistics.models import ReportWithFigures
from mleb_core.report.statistics.overtime import medals_over_time, standing_at
from mleb_core.run import RunKey


def snapshots(key: RunKey, *taken: tuple[float, str]) -> RunSnapshots:
    return RunSnapshots(
        key=key,
        graded_at="2026-01-31T12:00:00+00:00",
        is_lower_better=False,
        snapshots=tuple(
            SnapshotScore(
                elapsed_s=elapsed, time="t", sha256="0", file=None, score=elapsed, medal=medal, valid=medal != "none"
            )
            for elapsed, medal in taken
        ),
    )


KEY = RunKey(competition="iris", agent="dummy", seed=0)


def test_the_submission_that_stands_counts_even_where_an_earlier_one_was_better():
    run = snapshots(KEY, (10, "none"), (30, "none"), (20, "gold"))
    assert standing_at(run, 5) is None
    assert [standing_at(run, at).elapsed_s for at in (10, 19.9, 20, 29, 1e9)] == [10, 10, 20, 20, 30]


def test_medals_over_time_is_what_standing_at_says_at_each_time():
    runs = [
        snapshots(KEY, (10, "none"), (20, "gold"), (30, "none"), (40, "bronze")),
        snapshots(KEY, (20, "silver"), (50, "gold")),
        snapshots(KEY, (0, "bronze"), (40, "none")),
        snapshots(KEY),
    ]
    points = medals_over_time(runs, 5)
    for at in (0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 99):
        standing = [standing_at(run, at) for run in runs]
        expected = sum(snapshot is not None and snapshot.medal != "none" for snapshot in standing)
        last = [point for point in points if point.elapsed_s <= at][-1]
        assert (last.medals, last.any_medal_percentage) == (expected, 100 * expected / 5)
    assert [point.elapsed_s for point in points] == [0, 20, 30]  # at 40 one comes and one goes


def test_cost_and_time_by_hand():
    found = cost_figures(
        [
            RunCost(medal=True, runtime_s=100, cost_usd=2.0, tokens=10),
            RunCost(medal=False, runtime_s=50, cost_usd=1.0, unpriced=True, tokens=5),
            RunCost(medal=True, runtime_s=30),
            RunCost(medal=False),
        ],
        asked=6,
    )
    assert (found.medals, found.asked, found.runs_with_time, found.runs_with_usage) == (2, 6, 3, 2)
    assert (found.time_s, found.time_s_per_medal) == (180, 90)
    assert (found.cost_usd, found.cost_usd_per_medal, found.runs_unpriced, found.tokens) == (3, 1.5, 1, 15)


def test_without_medals_or_usage_there_is_no_price():
    found = cost_figures([RunCost(medal=False, runtime_s=5)], asked=1)
    assert (found.time_s, found.time_s_per_medal, found.cost_usd, found.tokens) == (5, None, None, None)


@pytest.fixture
def directory(group, graded, finished, on_disk):
    """`dummy`: gold at iris, seeds 0 and 1; all runs but its last there; usage of two runs, snapshots of one."""
    runs = [finished(key) for key in group.run_keys() if key.agent == "dummy"][:-1]
    golden = {("iris", 0), ("iris", 1)}
    reports = [
        run_report(
            run, graded(run.key.competition, "gold" if (run.key.competition, run.key.seed) in golden else "none")
        )
        for run in runs
    ]
    root = on_disk(group, runs, reports)
    layout = GroupLayout(root)
    for seed, unpriced in ((0, 0), (1, 2)):
        usage = Usage.of({"m": ModelUsage(tokens=Tokens(input=70, output=30), known_cost_usd=1.5, unpriced=unpriced)})
        layout.run("iris", "dummy", seed).usage.write_text(usage.model_dump_json())
    layout.run("iris", "dummy", 0).snapshot_scores.write_text(snapshots(KEY, (60, "gold")).model_dump_json())
    return root


def test_a_group_has_its_figures_and_each_says_what_it_rests_on(directory):
    report, problems = with_figures(group_report(*collect_group(directory)), directory)
    assert problems == []
    dummy, other = report.figures
    assert (dummy.asked, dummy.graded, dummy.runs_with_snapshots) == (9, 8, 1)
    assert [p.percentage for p in dummy.pass_at_k] == pytest.approx([200 / 9, 100 / 3, 100 / 3])
    low, high = dummy.any_medal_bootstrap
    assert low <= 200 / 9 <= high
    assert (dummy.cost.cost_usd, dummy.cost.cost_usd_per_medal, dummy.cost.runs_unpriced) == (3, 1.5, 1)
    assert (dummy.cost.tokens, dummy.cost.runs_with_usage, dummy.cost.runs_with_time) == (200, 2, 8)
    assert [(p.elapsed_s, p.medals) for p in dummy.over_time] == [(0, 0), (60, 1)]
    assert (other.graded, other.over_time, other.cost.cost_usd) == (0, (), None)
    assert ReportWithFigures.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("content", ["", "{", '{"format_version": 9}', "[]"])
@pytest.mark.parametrize("name", ["usage", "snapshot_scores"])
def test_a_damaged_file_costs_only_its_own_figure(directory, name, content):
    path = getattr(GroupLayout(directory).run("iris", "dummy", 0), name)
    path.write_text(content)
    report, problems = with_figures(group_report(*collect_group(directory)), directory)
    assert len(problems) == 1 and str(path) in problems[0] and "\n" not in problems[0]
    assert report.figures[0].graded == 8


def test_snapshots_of_another_run_are_not_taken(directory):
    path = GroupLayout(directory).run("iris", "dummy", 0).snapshot_scores
    document = json.loads(path.read_text())
    document["key"]["seed"] = 1
    path.write_text(json.dumps(document))
    report, (problem,) = with_figures(group_report(*collect_group(directory)), directory)
    assert "that of another run" in problem and report.figures[0].runs_with_snapshots == 0
