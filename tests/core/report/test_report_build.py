"""From a grade to a report on it: medals, place, direction; and where human scores come from."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mleb_core.competition import Competition
from mleb_core.errors import CompetitionError
from mleb_core.grading.grade import Grade
from mleb_core.layout import CompetitionData
from mleb_core.report.build import competition_report, human_scores
from mleb_core.run import now

TOML = """
id = "iris"
title = "Irises"
category = "tabular"
source = { kind = "manual" }
grading = { grader = "some-grader" }
known_issues = [
    { what = "rows leak", issue = "#98", repaired_in = 2 },
    { what = "blurred" },
]

[leaderboard]
higher_is_better = {higher}
teams = 120
gold = {gold}
silver = {silver}
bronze = {bronze}
median = {median}

[editions.2.leaderboard]
teams = 7
"""

Make = Callable[..., Competition]


@pytest.fixture
def competition(tmp_path: Path) -> Make:
    """A competition whose leaderboard has the given thresholds."""

    def make(higher=True, gold=0.9, silver=0.8, bronze=0.7, median=0.5, more="", edition=1) -> Competition:
        folder = tmp_path / "pack" / "iris"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        values = {"higher": str(higher).lower(), "gold": gold, "silver": silver, "bronze": bronze, "median": median}
        text = TOML
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        (folder / "competition.toml").write_text(text.replace("teams = 120\n", f"teams = 120\n{more}\n"))
        (folder / "prepare.py").write_text("")
        return Competition(folder, edition)

    return make


def grade(score: float | None, **fields: object) -> Grade:
    known: dict[str, object] = {
        "competition": "iris",
        "submission_path": "/somewhere/submission.csv",
        "submission_exists": True,
        "valid": score is not None,
        "score": score,
        "higher_is_better": True,
        "grader": "some-grader",
        "sha256": "ab" * 32,
        "graded_at": now(),
    }
    return Grade.model_validate(known | fields)


def medal_flags(report) -> tuple[bool, bool, bool, bool]:
    return report.any_medal, report.gold_medal, report.silver_medal, report.bronze_medal


@pytest.mark.parametrize(
    ("score", "medal", "flags", "above"),
    [
        (1.0, "gold", (True, True, False, False), True),
        (0.9, "gold", (True, True, False, False), True),
        (0.89999, "silver", (True, False, True, False), True),
        (0.8, "silver", (True, False, True, False), True),
        (0.7, "bronze", (True, False, False, True), True),
        (0.69999, "none", (False, False, False, False), True),
        (0.50001, "none", (False, False, False, False), True),
        (0.5, "none", (False, False, False, False), False),
        (0.0, "none", (False, False, False, False), False),
        (-3.0, "none", (False, False, False, False), False),
    ],
)
def test_medals_come_by_the_thresholds(competition: Make, score, medal, flags, above):
    report = competition_report(grade(score), competition())
    assert (report.medal, medal_flags(report), report.above_median, report.score) == (medal, flags, above, score)


def test_lower_scores_win_where_the_file_says_so(competition: Make):
    board = competition(higher=False, gold=0.1, silver=0.2, bronze=0.3, median=0.4)
    report = competition_report(grade(0.1, higher_is_better=False), board, [0.05, 0.1, 0.1, 0.2, 0.9])
    assert (report.medal, report.above_median, report.is_lower_better) == ("gold", True, True)
    assert (report.rank, report.teams, report.percentile) == (2, 5, pytest.approx(60))


@pytest.mark.parametrize(("score", "medal"), [(0.899996, "gold"), (0.899994, "silver"), (0.8999951, "gold")])
def test_a_score_is_rounded_to_five_decimals_before_it_is_compared(competition: Make, score, medal):
    report = competition_report(grade(score), competition())
    assert (report.score, report.medal) == (round(score, 5), medal)


def test_the_thresholds_themselves_are_not_rounded(competition: Make):
    assert competition_report(grade(0.9000003), competition(gold=0.9000002)).medal == "silver"


def test_place_and_percentile_need_scores(competition: Make):
    without = competition_report(grade(0.75), competition())
    assert (without.rank, without.teams, without.percentile) == (None, None, None)
    report = competition_report(grade(0.75), competition(), [0.1, 0.75, 0.9, 0.75, 0.2, 0.99, 0.3, 0.4])
    assert (report.rank, report.teams, report.percentile) == (3, 8, 62.5)
    assert report.medal == "bronze"  # by the file, whatever the scores would say


def test_an_invalid_submission_has_a_reason_and_nothing_else(competition: Make):
    report = competition_report(grade(None, reason="row 3: id 7 is unknown"), competition(), [1.0])
    assert (report.valid_submission, report.submission_exists, report.score) == (False, True, None)
    assert (report.medal, report.above_median, report.rank) == ("none", False, None)
    assert report.reason == "row 3: id 7 is unknown"
    assert report.graded


def test_a_fault_of_the_grader_is_told_apart(competition: Make):
    report = competition_report(grade(None, grader_error="the answers are gone"), competition())
    assert (report.reason, report.grader_error, report.graded) == (None, "the answers are gone", False)


def test_no_submission(competition: Make):
    report = competition_report(
        grade(None, submission_exists=False, sha256=None, reason="there is no submission.csv"), competition()
    )
    assert (report.submission_exists, report.valid_submission, report.submission_sha256) == (False, False, None)


def test_a_grader_of_the_other_direction_is_a_fault_of_the_competition(competition: Make):
    with pytest.raises(CompetitionError, match=r"competition\.toml: leaderboard\.higher_is_better: expected false"):
        competition_report(grade(0.5, higher_is_better=False), competition())


def test_a_grade_of_another_competition_or_edition_is_refused(competition: Make):
    for label in ("wine", "iris@2"):
        with pytest.raises(ValueError, match=f"a grade of {label} is none of iris"):
            competition_report(grade(0.5, competition=label), competition())


def test_the_edition_is_named_and_what_it_repairs_is_no_issue_any_more(competition: Make):
    first = competition_report(grade(0.5), competition())
    second = competition_report(grade(0.5, competition="iris@2"), competition(edition=2))
    assert (first.competition_id, first.edition, first.label) == ("iris", 1, "iris")
    assert (second.competition_id, second.edition, second.label) == ("iris", 2, "iris@2")
    assert first.known_issues == ("rows leak (#98)", "blurred")
    assert second.known_issues == ("blurred",)


def test_reference_models_are_never_called_humans(competition: Make):
    assert competition_report(grade(0.5), competition()).leaderboard_kind == "humans"
    board = competition(more='kind = "reference-models"')
    assert competition_report(grade(0.5), board).leaderboard_kind == "reference-models"


def test_every_real_leaderboard_gives_its_own_scores_the_right_medals(competition: Make, shared: Path):
    """The score at the last gold place is gold, and so on; places counted here once more."""
    boards = json.loads((shared / "facts/leaderboards.json").read_text())
    for fact in json.loads((shared / "facts/competitions.json").read_text()):
        scores, higher = boards[fact["id"]], not fact["is_lower_better"]
        medals = {name: fact[name] for name in ("gold", "silver", "bronze", "median")}
        board = competition(higher=higher, **{name: repr(float(value)) for name, value in medals.items()})
        facts = board.spec.leaderboard
        for name in ("gold", "silver", "bronze"):
            score = round(fact[name], 5)
            reached = score >= fact[name] if higher else score <= fact[name]
            if reached:  # rounding may push a score with more decimals below its own threshold
                report = competition_report(grade(score, higher_is_better=higher), board, scores)
                order = ["gold", "silver", "bronze"]
                best = next(medal for medal in order if fact[medal] == fact[name] or medal == name)
                assert report.any_medal and order.index(report.medal) <= order.index(best), fact["id"]
                assert report.teams == fact["teams"]
        assert facts.thresholds.above_median(fact["median"]) is False


def test_human_scores_of_the_data_directory_come_first(competition: Make, tmp_path: Path):
    board = competition(more='scores = "board.csv"')
    (board.folder / "board.csv").write_text("team,score\na,1\nb,2.5\n")
    assert human_scores(board, tmp_path / "data") == [1.0, 2.5]
    fetched = CompetitionData.of(tmp_path / "data", "iris").leaderboard
    fetched.parent.mkdir(parents=True)
    fetched.write_bytes(b'\xef\xbb\xbfscore,team\r\n0.1,"a, b"\r\n-2e3,c\r\n')
    assert human_scores(board, tmp_path / "data") == [0.1, -2000.0]
    assert human_scores(board.in_edition(2), tmp_path / "data") == [0.1, -2000.0]  # editions share it


def test_no_human_scores_at_hand(competition: Make, tmp_path: Path):
    assert human_scores(competition(), tmp_path) is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"team,points\na,1\n", "a column `score` is expected, got team, points"),
        (b"", "a column `score` is expected"),
        (b"score\n", "holds no scores"),
        (b"team,score\na,1\nb,nan\n", "line 3: a score is expected, got 'nan'"),
        (b"team,score\na,1\nb,inf\n", "line 3: a score is expected, got 'inf'"),
        (b"team,score\na,1\nb,\n", "line 3: a score is expected, got ''"),
        (b"team,score\na,1\nb\n", "line 3: a score is expected, got None"),
        (b"team,score\na,1\nb,first\n", "line 3: a score is expected, got 'first'"),
        (b"score\n\xff\xfe\n", "cannot be read"),
        (b'score\n"1\x00\n', "board.csv"),
    ],
)
def test_a_wrong_leaderboard_names_file_and_line(competition: Make, tmp_path: Path, content: bytes, told: str):
    board = competition(more='scores = "board.csv"')
    (board.folder / "board.csv").write_bytes(content)
    with pytest.raises(CompetitionError) as caught:
        human_scores(board, tmp_path)
    message = str(caught.value)
    assert message.startswith(str(board.folder / "board.csv")) and told in message and "\n" not in message


def test_a_leaderboard_that_is_named_but_not_there(competition: Make, tmp_path: Path):
    with pytest.raises(CompetitionError, match=r"board\.csv cannot be read"):
        human_scores(competition(more='scores = "board.csv"'), tmp_path)
