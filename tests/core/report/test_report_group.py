"""Group reports: what they count, and that they bring things together by key."""

import random
import statistics

import pytest

from mleb_core.report.build import config_digest, grading_report, group_grading_report, group_report, run_report
from mleb_core.run import Cause, RunKey, RunStatus

MEDALS = ["gold", "silver", "bronze", "none"]


@pytest.fixture
def everything(group, graded, finished):
    """All runs of the group, each with a medal drawn at random."""
    draw = random.Random(5)
    runs = [finished(key) for key in group.run_keys()]
    reports = {run.key: run_report(run, graded(run.key.competition, draw.choice(MEDALS))) for run in runs}
    return runs, reports


def test_percentages_by_seed_against_a_second_count(group, everything):
    runs, reports = everything
    report = group_report(group, runs, reports)
    assert [result.agent for result in report.agents] == ["dummy", "aide/o1"]
    for result in report.agents:
        by_seed = []
        for seed in result.seeds:
            mine = [r.competition_report for k, r in reports.items() if (k.agent, k.seed) == (result.agent, seed.seed)]
            assert len(mine) == seed.counts.asked == 3
            by_seed.append(100 * sum(grade.medal != "none" for grade in mine) / 3)
            assert seed.any_medal_percentage == pytest.approx(by_seed[-1])
            assert seed.gold_percentage == pytest.approx(100 * sum(g.gold_medal for g in mine) / 3)
            assert seed.silver_percentage == pytest.approx(100 * sum(g.silver_medal for g in mine) / 3)
            assert seed.bronze_percentage == pytest.approx(100 * sum(g.bronze_medal for g in mine) / 3)
            assert seed.above_median_percentage == pytest.approx(100 * sum(g.above_median for g in mine) / 3)
            assert seed.valid_submission_percentage == 100
        assert [seed.seed for seed in result.seeds] == [0, 1, 2]
        assert result.any_medal_percentage.mean == pytest.approx(statistics.mean(by_seed))
        assert result.any_medal_percentage.standard_error == pytest.approx(statistics.stdev(by_seed) / 3**0.5)
    assert report.counts.asked == report.counts.graded == report.counts.ended == 18
    assert report.counts.medals == report.counts.gold + report.counts.silver + report.counts.bronze
    assert report.missing == ()
    assert report.editions == (1, 2)


def test_order_has_no_say(group, everything):
    runs, reports = everything
    first = group_report(group, runs, reports)
    for number in range(5):
        random.Random(number).shuffle(runs)
        items = list(reports.items())
        random.Random(number + 100).shuffle(items)
        again = group_report(group, runs, dict(items))
        assert again.model_copy(update={"created_at": first.created_at}) == first


def test_missing_runs_stay_in_the_denominator(group, graded, finished):
    """Of one seed's three competitions one has gold, one is interrupted, one never started: 33 %, not 100 %."""
    gold = finished(RunKey(competition="iris", agent="dummy", seed=0))
    cut = finished(RunKey(competition="wine", agent="dummy", seed=0), status=RunStatus.INTERRUPTED)
    reports = {gold.key: run_report(gold, graded("iris", "gold"))}
    report = group_report(group, [gold, cut], reports)
    seed = report.agents[0].seeds[0]
    assert seed.any_medal_percentage == pytest.approx(100 / 3)
    assert (seed.counts.asked, seed.counts.ended, seed.counts.graded, seed.counts.missing) == (3, 1, 1, 2)
    assert report.counts.asked == 18 == report.counts.graded + report.counts.missing
    told = {str(run.key): (run.status, run.note) for run in report.missing}
    assert len(told) == 17
    assert told["wine dummy seed 0"] == ("interrupted", "no report")
    assert told["digits@2 aide/o1 seed 2"] == ("pending", "never started")


def test_a_grader_error_is_no_bad_submission(group, graded, finished):
    run = finished(RunKey(competition="iris", agent="dummy", seed=0))
    failed = graded("iris", score=None, valid_submission=False, grader_error="answers are unreadable")
    report = group_report(group, [run], {run.key: run_report(run, failed)})
    assert (report.counts.ended, report.counts.graded, report.counts.submissions, report.counts.valid) == (1, 0, 1, 0)
    missing = {run.key: run for run in report.missing}[run.key]
    assert (missing.status, missing.note) == ("finished", "the grader failed: answers are unreadable")
    assert len(report.runs) == 1  # and the run's own report is there


def test_an_invalid_submission_and_none_at_all_are_verdicts(group, graded, finished):
    runs = [finished(key) for key in group.run_keys()[:2]]
    reports = {
        runs[0].key: run_report(runs[0], graded("iris", score=None, valid_submission=False, reason="row 3")),
        runs[1].key: run_report(
            runs[1], graded("iris", score=None, valid_submission=False, submission_exists=False, reason="no file")
        ),
    }
    counts = group_report(group, runs, reports).counts
    assert (counts.graded, counts.submissions, counts.valid, counts.medals) == (2, 1, 0, 0)


def test_a_failed_run_without_a_grade_is_missing_with_its_cause(group, finished):
    run = finished(group.run_keys()[0], RunStatus.FAILED, Cause.SANDBOX_FAILURE, "the container vanished")
    report = group_report(group, [run], {run.key: run_report(run, None)})
    assert report.missing[0].cause is Cause.SANDBOX_FAILURE
    assert report.missing[0].note == "the container vanished"
    assert report.counts.ended == 1


def test_runs_that_were_not_asked_for_are_shown_and_count_nowhere(group, graded, finished):
    extra = finished(RunKey(competition="other", agent="dummy", seed=0))
    report = group_report(group, [extra], {extra.key: run_report(extra, graded("other", "gold"))})
    assert report.not_asked == (extra.key,)
    assert (report.counts.ended, report.counts.medals, report.runs) == (0, 0, ())


def test_the_same_run_twice_or_under_another_key_is_refused(group, graded, finished):
    first, second = (finished(key) for key in group.run_keys()[:2])
    with pytest.raises(ValueError, match="is there twice"):
        group_report(group, [first, second, first], {})
    with pytest.raises(ValueError, match="stands under"):
        group_report(group, [first], {second.key: run_report(first, graded("iris"))})


def test_a_report_on_another_competition_or_edition_is_refused(graded, finished):
    run = finished(RunKey(competition="digits@2", agent="dummy", seed=0))
    assert run_report(run, graded("digits@2")).graded
    for label in ("digits", "iris@2"):
        with pytest.raises(ValueError, match="none of the run"):
            run_report(run, graded(label))


def test_a_run_report_has_all_that_the_run_knows(graded, finished):
    run = finished(
        RunKey(competition="iris", agent="dummy", seed=4),
        RunStatus.FAILED,
        Cause.AGENT_ERROR,
        "exit code 3",
        refused=("code/x: a link",),
        attempt=2,
    )
    report = run_report(run, graded("iris", "silver"))
    for name in ("key", "group", "status", "attempt", "created_at", "started_at", "ended_at"):
        assert getattr(report, name) == getattr(run, name), name
    for name in ("cause", "message", "runtime_s", "exit_code", "peak_memory_bytes", "refused"):
        assert getattr(report, name) == getattr(run.outcome, name), name
    assert report.competition_report.medal == "silver"


def test_known_issues_come_by_competition(group, graded, finished):
    runs = [finished(key) for key in group.run_keys()]
    issues = {"iris": ("rows leak (#98)",), "digits@2": ("blurred",), "wine": ()}
    reports = {
        run.key: run_report(run, graded(run.key.competition, known_issues=issues[run.key.competition])) for run in runs
    }
    report = group_report(group, runs, reports)
    assert report.known_issues == {"iris": ("rows leak (#98)",), "digits@2": ("blurred",)}


def test_the_digest_is_of_what_is_measured(group):
    same = group.model_copy(update={"name": "other", "created_at": "later", "data_dir": "elsewhere"})
    assert config_digest(same) == config_digest(group)
    for change in ({"seeds": 4}, {"settings": {"k": 1}}, {"plugins": {}}, {"digests": {"iris": "0"}}, {"model": "m"}):
        assert config_digest(group.model_copy(update=change)) != config_digest(group), change


def test_one_seed_has_no_standard_error(group, graded, finished):
    single = group.model_copy(update={"seeds": 1})
    report = group_report(single, [], {})
    assert report.agents[0].any_medal_percentage.standard_error is None
    assert report.agents[0].any_medal_percentage.mean == 0


def test_mlebench_totals(graded):
    reports = [
        graded("iris", "gold"),
        graded("wine", "silver"),
        graded("wine", "silver"),
        graded("digits", "bronze"),
        graded("digits", above_median=True),
        graded("digits", score=None, valid_submission=False),
        graded("digits", score=None, valid_submission=False, submission_exists=False),
    ]
    report = grading_report(reports)
    document = report.model_dump(mode="json")
    assert list(document)[:9] == [
        "total_runs",
        "total_runs_with_submissions",
        "total_valid_submissions",
        "total_medals",
        "total_gold_medals",
        "total_silver_medals",
        "total_bronze_medals",
        "total_above_median",
        "competition_reports",
    ]
    assert list(document.values())[:8] == [7, 6, 5, 4, 1, 2, 1, 5]
    assert list(document["competition_reports"][0])[:16] == [
        "competition_id",
        "score",
        "gold_threshold",
        "silver_threshold",
        "bronze_threshold",
        "median_threshold",
        "any_medal",
        "gold_medal",
        "silver_medal",
        "bronze_medal",
        "above_median",
        "submission_exists",
        "valid_submission",
        "is_lower_better",
        "created_at",
        "submission_path",
    ]
    assert [entry["competition_id"] for entry in document["competition_reports"]] == [
        *("iris", "wine", "wine", "digits", "digits", "digits", "digits")
    ]


def test_mlebench_report_of_no_submission_at_all():
    assert grading_report([]).total_runs == 0


def test_mlebench_report_of_a_group_says_how_many_are_missing(group, everything):
    runs, reports = everything
    reports.pop(group.run_keys()[3])
    report = group_grading_report(group_report(group, runs, reports))
    assert (report.total_runs, report.missing_runs, len(report.competition_reports)) == (17, 1, 17)
