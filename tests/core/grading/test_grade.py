"""From a file to a Grade, in this process."""

import hashlib

import pytest
from pydantic import ValidationError

from mleb_core.competition import Competition
from mleb_core.errors import CompetitionError, InvalidSubmissionError, NotPreparedError, UnknownIdError
from mleb_core.grading.grade import Grade, check_direction, grade_submission, validate_submission
from mleb_core.grading.table import TableGrader


def closeness(truth, predicted):
    return 1 - abs(truth - predicted).mean() / 3


class Graders:
    """Knows graders by id, as a registry does."""

    def __init__(self, *graders):
        self.graders = {grader.id: grader for grader in graders}

    def grader(self, id):
        if id not in self.graders:
            raise UnknownIdError("grader", id, self.graders)
        return self.graders[id]


GOOD = Graders(TableGrader("misbehave", closeness, True, "Closeness."))


def raising(error):
    class Raising(TableGrader):
        def grade(self, submission, task):
            raise error

        validate = grade

    return Graders(Raising("misbehave", "", True, "Raises."))


def test_a_valid_submission(competition, data_dir, submit):
    path = submit("id,y\na,1\nb,2\nc,4\n")
    grade = grade_submission(path, competition, data_dir, GOOD)
    assert grade.model_dump(exclude={"graded_at", "seconds"}) == {
        "competition": "small",
        "submission_path": str(path),
        "submission_exists": True,
        "valid": True,
        "score": 0.88889,
        "reason": None,
        "grader_error": None,
        "higher_is_better": True,
        "grader": "misbehave",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size": path.stat().st_size,
    }
    assert grade.graded_at.endswith("+00:00")
    assert grade.seconds > 0
    assert Grade.model_validate_json(grade.model_dump_json()) == grade


def test_a_grade_cannot_be_changed(competition, data_dir, submit):
    grade = grade_submission(submit("id,y\na,1\nb,2\nc,4\n"), competition, data_dir, GOOD)
    with pytest.raises(ValidationError, match="frozen"):
        grade.score = 1.0


def test_scores_have_5_decimals_and_zero_has_no_sign(competition, data_dir, submit):
    path = submit("id,y\na,1\nb,2\nc,4\n")
    for score, rounded in [(-1e-9, "0.0"), (0.123456789, "0.12346"), (2, "2.0")]:
        graders = Graders(TableGrader("misbehave", lambda t, p, s=score: s, True, "x"))
        assert str(grade_submission(path, competition, data_dir, graders).score) == rounded


def test_a_missing_submission(competition, data_dir, tmp_path):
    grade = grade_submission(tmp_path / "none.csv", competition, data_dir, GOOD)
    assert (grade.submission_exists, grade.valid, grade.score, grade.sha256, grade.size) == (False, False) + (None,) * 3
    assert "there is no such file" in grade.reason
    assert grade.grader_error is None


def test_a_link_exists_but_is_not_read(competition, data_dir, tmp_path):
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    grade = grade_submission(tmp_path / "link.csv", competition, data_dir, GOOD)
    assert (grade.submission_exists, grade.valid, grade.sha256) == (True, False, None)
    assert "symbolic link" in grade.reason


def test_an_invalid_submission_keeps_its_reason_and_checksum(competition, data_dir, submit):
    grade = grade_submission(submit("id,y\na,1\nb,x\nc,4\n"), competition, data_dir, GOOD)
    assert (grade.valid, grade.score, grade.grader_error) == (False, None, None)
    assert grade.reason == "row 2 (id 'b'), column 'y': 'x' is not a number"
    assert len(grade.sha256) == 64


def test_a_fault_of_the_grader_is_no_invalid_submission(competition, data_dir, submit):
    path = submit("id,y\na,1\nb,2\nc,4\n")
    grade = grade_submission(path, competition, data_dir, raising(KeyError("a\nb")))
    assert (grade.valid, grade.reason) == (False, None)
    assert grade.grader_error == "grader misbehave failed on small: KeyError: 'a\\nb'"
    grade = grade_submission(path, competition, data_dir, raising(InvalidSubmissionError("two\nlines")))
    assert (grade.reason, grade.grader_error) == ("two lines", None)


def test_validation_gives_no_score(competition, data_dir, submit):
    good = validate_submission(submit("id,y\na,1\nb,2\nc,4\n"), competition, data_dir, GOOD)
    assert (good.valid, good.score, good.reason) == (True, None, None)
    bad = validate_submission(submit("id,y\na,1\nb,2\n"), competition, data_dir, GOOD)
    assert (bad.valid, bad.score) == (False, None)
    assert bad.reason == "1 id is missing, the first: id 'c' (2 rows are given, 3 expected)"


def test_the_edition_has_its_own_data(competition, data_dir, submit):
    answers = data_dir / "small@2" / "prepared" / "private" / "answers.csv"
    answers.write_text("id,y\na,1\nb,2\nc,4\n")
    grade = grade_submission(submit("id,y\na,1\nb,2\nc,4\n"), competition.in_edition(2), data_dir, GOOD)
    assert (grade.competition, grade.score) == ("small@2", 1.0)


@pytest.mark.parametrize("lost", ["prepared", "prepared.json"])
def test_data_that_is_not_prepared(competition, data_dir, submit, lost):
    (data_dir / "small" / lost).rename(data_dir / "elsewhere")
    with pytest.raises(NotPreparedError, match="mleb prepare -c small"):
        grade_submission(submit("id,y\na,1\nb,2\nc,4\n"), competition, data_dir, GOOD)


def test_answers_that_vanished_are_the_graders_fault(competition, data_dir, submit):
    (data_dir / "small" / "prepared" / "private" / "answers.csv").unlink()
    grade = grade_submission(submit("id,y\na,1\nb,2\nc,4\n"), competition, data_dir, GOOD)
    assert "prepare them again" in grade.grader_error


def test_directions_must_agree(make_competition, data_dir, submit):
    lower = make_competition("lower", higher=False)
    with pytest.raises(CompetitionError, match="higher_is_better: expected true, since higher is better"):
        grade_submission(submit("id,y\na,1\nb,2\nc,4\n"), lower, data_dir, GOOD)
    with pytest.raises(CompetitionError):
        check_direction(lower, GOOD.grader("misbehave"))
    check_direction(lower, TableGrader("x", closeness, False, "x"))


def test_an_unknown_grader(make_competition, data_dir, submit):
    with pytest.raises(UnknownIdError, match="did you mean misbehave"):
        grade_submission(submit("id,y\na,1\n"), make_competition("typo", grader="misbehav"), data_dir, GOOD)


def test_a_folder_without_competition(tmp_path, data_dir, submit):
    with pytest.raises(CompetitionError, match="is missing"):
        grade_submission(submit("id,y\na,1\n"), Competition(tmp_path / "nothing"), data_dir, GOOD)
