"""Checks against data without answers: nothing of the answers is in it, and nothing that is said depends on them."""

import shutil
from pathlib import Path

import pytest

from mleb_core.competition_spec import Grading
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.blind import blind, check_format
from mleb_core.grading.checker import Checker
from mleb_core.grading.pool import GradingPool
from mleb_core.grading.table import TableGrader
from mleb_core.layout import CompetitionData

SAMPLE = "id,y\na,0\nb,0\nc,0\nd,0\n"
ANSWERS = "id,secret,y\nd,zero,41\nb,one,42\na,one,43\nc,zero,44\n"


class OneGrader:
    """Where one grader is found."""

    def __init__(self, grader):
        self.found = grader

    def grader(self, id):
        return self.found


class Spec:
    """What of a competition grading needs."""

    def __init__(self, grading):
        self.grading = grading


class Tiny:
    """A competition without a folder."""

    id = label = "tiny"
    edition = 1

    def __init__(self, **grading):
        self.spec = Spec(Grading(grader="g", **{"id": ["id"], "columns": {"y": {"type": "number"}}, **grading}))


@pytest.fixture
def checked(tmp_path, submit):
    """Checks a submission of a tiny competition; gives what is wrong, None where nothing is."""

    def checked(submission, answers=ANSWERS, sample=SAMPLE, grader=None, **grading):
        grader = grader or TableGrader("g", len, False, "Nothing.")
        data, target = tmp_path / "data", tmp_path / "blind"
        for folder in (data, target):
            shutil.rmtree(folder, ignore_errors=True)
        made = CompetitionData.of(data, "tiny")
        made.public.mkdir(parents=True)
        made.private.mkdir()
        target.mkdir()
        (made.private / "answers.csv").write_text(answers)
        (made.public / "sample_submission.csv").write_text(sample)
        (made.public / "train.csv").write_text("id,y\nx,1\n")
        made.manifest.write_text("{}")
        competition, registry = Tiny(**grading), OneGrader(grader)
        blind(competition, data, target, registry)
        grade = check_format(submit(submission), competition, target, registry)
        assert grade.grader_error is None
        assert grade.score is None
        return grade.reason

    return checked


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_answer_is_in_the_data(checked, tmp_path):
    assert checked(SAMPLE) is None
    made = CompetitionData.of(tmp_path / "blind", "tiny")
    assert (made.private / "answers.csv").read_text() == (
        '"id","secret","y"\n"a","x",0\n"b","x",0\n"c","x",0\n"d","x",0\n'
    )
    assert sorted(files_in(made.root)) == [
        "prepared.json",
        "prepared/private/answers.csv",
        "prepared/public/sample_submission.csv",
        "prepared/public/train.csv",
    ]
    up = made.public / ".." / "private" / "answers.csv"
    assert up.samefile(made.private / "answers.csv"), "from public no way leads to the true answers"


def test_the_data_is_the_same_whatever_the_answers(checked, tmp_path):
    seen = set()
    for answers in (ANSWERS, "id,secret,y\na,p,1\nb,q,2\nc,r,3\nd,s,4\n", "id,secret,y\nc,t,9\nd,t,9\nb,t,9\na,t,9\n"):
        checked(SAMPLE, answers)
        seen.add(tuple(sorted(files_in(tmp_path / "blind").items())))
    assert len(seen) == 1


def test_the_order_of_the_answers_is_not_told(checked):
    """The first missing id is the sample submission's first, not that of the answers."""
    found = checked("id,y\nb,0\n")
    assert found == "3 ids are missing, the first: id 'a' (1 rows are given, 4 expected)"


def test_which_rows_are_scored_is_not_told(checked):
    gap = "id,y\na,0\nb,\nc,0\nd,0\n"
    for options in ({"where": "secret == 'one'", "unscored": "gaps"}, {"where": "y > 42", "unscored": "free"}):
        assert "row 2 (id 'b'), column 'y': the cell is empty" in checked(gap, options=options)
        short = checked("id,y\na,0\n", options={**options, "unscored_rows": "optional"})
        assert short == "3 ids are missing, the first: id 'b' (1 rows are given, 4 expected)"
        assert checked(SAMPLE, options=options) is None


def test_which_ids_have_answers_is_not_told(checked):
    """Where unknown ids are ignored, those of the sample submission must be there, with answers or without."""
    options = {"unknown_ids": "ignored"}
    answers = "id,y\nc,1\na,2\n"
    assert checked(SAMPLE, answers, options=options) is None
    for left_out in "abcd":
        found = checked(SAMPLE.replace(f"{left_out},0\n", ""), answers, options=options)
        assert found == f"1 id is missing, the first: id '{left_out}' (3 rows are given, 4 expected)"


def test_a_sample_submission_with_other_ids(checked):
    """The answers' ids count, in no order of theirs; only those of the sample submission are named."""
    sample = "id,y\na,0\nz,0\n"
    assert checked("id,y\na,1\nb,1\nc,1\nd,1\n", sample=sample) is None
    assert checked("id,y\nb,1\nc,1\nd,1\n", sample=sample).startswith("1 id is missing, the first: id 'a'")
    assert checked("id,y\na,1\n", sample=sample) == "3 ids are missing (1 rows are given, 4 expected)"
    assert "the id is unknown" in checked("id,y\nz,1\nb,1\nc,1\nd,1\n", sample=sample)


def test_ids_keep_their_type(checked):
    sample, answers = "id,y\n007,0\n008,0\n", "id,y\n8,1\n7,2\n"
    assert checked("id,y\n7,1\n8,1\n", answers, sample) is None
    read = {"read": {"dtype": {"id": "str"}}}
    answers = "id,y\n008,1\n007,2\n"
    assert "'7'" in checked("id,y\n7,1\n8,1\n", answers, sample, options=read)
    assert checked(sample, answers, sample, options=read) is None
    texts = 'id,y\n"two\r\nlines, and ""more""",0\n'
    assert checked(texts, texts.replace(",0\n", ",1\n"), texts) is None


def test_labels_keep_their_kind(checked):
    columns = {"y": {"type": "label"}}
    answers = "id,y\na,cat\nb,dog\nc,cat\nd,cat\n"
    empty = "id,y\na,\nb,\nc,\nd,\n"
    assert checked(SAMPLE, answers, empty, columns=columns) == (
        "column 'y': it holds numbers throughout where text labels are expected"
    )
    assert checked(SAMPLE.replace("0", "bird"), answers, empty, columns=columns) is None


class Strict(TableGrader):
    """A grader that says what it should not: the truth."""

    def check(self, submission, task):
        found = super().check(submission, task)
        raise InvalidSubmissionError(f"the truth is {found.answers['y'].tolist()}")


class Plain:
    """A grader of its own kind, whose answers are no table."""

    id, summary, higher_is_better = "g", "Nothing.", False

    def validate(self, submission, task):
        raise InvalidSubmissionError(task.answers.read_text())


class Blinding(Plain):
    def blind_answers(self, task, target):
        assert "41" in task.answers.read_text()
        target.write_text("made up")


def test_a_grader_that_tells_the_answers_has_none_to_tell(checked):
    assert checked(SAMPLE, grader=Strict("g", len, False, "")) == "the truth is [0, 0, 0, 0]"
    assert checked(SAMPLE, grader=Plain()) == " ".join(SAMPLE.split()), "the sample submission stands in"
    assert checked(SAMPLE, grader=Blinding()) == "made up"


def test_what_a_grader_must_know_to_read_a_cell(checked):
    """An image's height is a public fact, and it goes with its row; other extras do not."""

    class Reader(Strict):
        reading = frozenset({"height"})

        def check(self, submission, task):
            found = TableGrader.check(self, submission, task)
            raise InvalidSubmissionError(f"{found.extras['height'].tolist()} {found.extras['other'].tolist()}")

    options = {"extras": {"height": "high", "other": "secret"}}
    answers = "id,secret,high,y\nd,1,40,1\nb,2,20,1\na,3,10,1\nc,4,30,1\n"
    found = checked(SAMPLE, answers, grader=Reader("g", len, False, ""), options=options)
    assert found == "[10, 20, 30, 40] [0, 0, 0, 0]"


def test_data_that_cannot_be_made(checked, tmp_path):
    with pytest.raises(GraderError, match="the sample submission has no id column 'id'"):
        checked(SAMPLE, sample="key,y\na,0\n")
    with pytest.raises(GraderError, match="answers have no id column 'id'"):
        checked(SAMPLE, "key,y\na,0\n")
    assert list((tmp_path / "blind").iterdir()) == [], "nothing half made is left"


@pytest.mark.usefixtures("misbehaving_plugin")
class TestInLimitedProcesses:
    """The same through the pool, with the metric that misbehaves: it is never called."""

    def test_checks(self, competition, data_dir, submit):
        with GradingPool(time_limit_s=60) as pool:
            with Checker(competition, data_dir, pool) as checker:
                good = checker.check(submit("id,y\na,104\nb,0\nc,0\n"))
                assert (good.valid, good.text, good.problem) == (True, "Submission is valid.", None)
                bad = checker.check(submit("id,y\na,1\n", "upload-17.tmp"))
                assert not bad.valid
                assert bad.text.startswith("Submission is not valid: 2 ids are missing, the first: id 'b'")
                odd = checker.check(submit(b"id,y\na\0,1\n", "upload-17.tmp"))
                assert "'submission.csv'" in odd.text and "upload" not in odd.text
                gone = checker.check(submit("x", "other").with_name("none"))
                assert (gone.valid, gone.problem) == (False, None)
                assert gone.text.endswith("there is no such file")
                folder = checker._data()
                assert not any(b"2\n" in content for content in files_in(folder).values())
            assert not folder.exists()
            assert checker.check(submit(SAMPLE)).problem == "the checker is closed"

    def test_what_fails_is_for_the_harness(self, competition, data_dir, submit, tmp_path):
        with GradingPool(time_limit_s=60) as pool, Checker(competition, tmp_path / "none", pool) as checker:
            found = checker.check(submit(SAMPLE))
            assert not found.valid
            assert "not prepared" in found.problem
            assert "prepared" not in found.text
        with Checker(competition, data_dir, pool) as checker:
            assert checker.check(submit(SAMPLE)).problem == "the grading pool is closed"
