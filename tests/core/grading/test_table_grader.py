"""TableGrader: columns by name, rows by id, cells by their rules, then the metric."""

import subprocess
import sys

import numpy as np
import pytest

from mleb_core.competition_spec import Grading
from mleb_core.errors import InvalidSubmissionError
from mleb_core.grading.protocol import Grader, GradingTask
from mleb_core.grading.table import CheckedTable, TableGrader


def agreement(truth, predicted):
    return float((truth == predicted).mean())


def test_it_is_a_grader_and_imports_nothing_heavy():
    assert isinstance(TableGrader("g", agreement, True, "x"), Grader)
    code = (
        "import sys, mleb_core.grading.table; print([m for m in ('pandas', 'numpy', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    "content",
    [
        "id,y\na,1\nb,2\nc,6\n",
        "y,id\n6,c\n1,a\n2,b\n",
        "id,note,y\nb,?,2.0\nc,,6.0\na,x,1.0\n",
        "\ufeffid,y\r\na,1\r\nb,2\r\nc,6\r\n",
    ],
)
def test_order_of_rows_and_columns_and_further_columns_do_not_matter(grade, content):
    assert grade(content) == 1.0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,z\na,1\n", "column 'y' is missing; the file has 'id', 'z'"),
        ("y\n1\n", "column 'id' is missing"),
        ("id;y\na;1\n", "column 'id' is missing (1 more); the file has 'id;y'"),
        ("id,y\na,1\nb,2\nb,3\nc,3\n", "row 3 (id 'b'): the id stands in row 2 already"),
        ("id,y\na,1\nb,2\nx,3\n", "row 3 (id 'x'): the id is unknown"),
        ("id,y\nq,1\nb,2\nx,3\n", "row 1 (id 'q'): the id is unknown (2 such rows)"),
        ("id,y\na,1\nb,2\nc,3\nd,3\n", "row 4 (id 'd'): the id is unknown; 4 rows are given, 3 expected"),
        ("id,y\na,1\n,2\nc,3\n", "row 2, column 'id': the id is empty"),
        ("id,y\na,1\nc,3\n", "1 id is missing"),
        ("id,y\na,1\nb,two\nc,3\n", "row 2 (id 'b'), column 'y': 'two' is not a number"),
        ("id,y\na,1\nb,\nc,3\n", "row 2 (id 'b'), column 'y': the cell is empty"),
        ("id,y\na,1\nb,nan\nc,3\n", "row 2 (id 'b'), column 'y': the cell is empty"),
        ("id,y\nc,1\nb,-inf\na,3\n", "row 2 (id 'b'), column 'y': -inf is not finite"),
        ("id,y\na,1e999\nb,2\nc,3\n", "row 1 (id 'a'), column 'y': "),
        ("id,y\na,True\nb,0.5\nc,False\n", "row 1 (id 'a'), column 'y': 'True' is not a number"),
    ],
)
def test_refusals_name_the_first_offending_row_and_column(refusal, content, expected):
    assert expected in refusal(content)


def test_a_message_stays_one_short_line_whatever_the_cell_holds(refusal):
    message = refusal('id,y\na,1\nb,"' + "x\n" * 5000 + '"\nc,3\n')
    assert len(message) < 300


def test_a_missing_id_is_named_only_where_the_sample_submission_shows_it(refusal):
    assert refusal("id,y\na,1\nc,3\n") == "1 id is missing (2 rows are given, 3 expected)"
    shown = refusal("id,y\na,1\n", sample="id,y\nc,0\nb,0\na,0\n")
    assert shown == "2 ids are missing, the first: id 'b' (1 rows are given, 3 expected)"
    other = refusal("id,y\na,1\n", sample="id,y\nc,0\na,0\n")
    assert other == "2 ids are missing (1 rows are given, 3 expected)"


def test_no_message_tells_an_answer(grade):
    answers = "id,y\na,7411\nb,7412\nc,7413\n"
    for content in ["id,y\na,1\n", "id,y\na,x\nb,1\nc,1\n", "id,y\nz,1\n", "id\na\n", "id,y\na,inf\nb,1\nc,1\n"]:
        with pytest.raises(InvalidSubmissionError) as caught:
            grade(content, answers, validate=True)
        assert "741" not in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "named", "expected"),
    [
        ("key,y\na,1\n", {}, "no id column 'id'"),
        ("id,z\na,1\nb,1\nc,1\n", {"columns": {"y": {}}}, "no column 'y'"),
        ("id\na\nb\nc\n", {}, "no target column"),
        ("id,y\na,1\nb,secret\nc,1\n", {"columns": {"y": {}}}, "row 2, column 'y': a value is not of type number"),
    ],
)
def test_answers_that_do_not_fit_are_the_graders_fault(answers, named, expected, fault, three_rows):
    message = fault(three_rows("1,2,3"), answers, **named)
    assert expected in message
    assert "secret" not in message


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -np.inf, np.float64("nan")])
def test_a_score_that_is_not_finite_is_an_invalid_submission(grade, score, three_rows):
    with pytest.raises(InvalidSubmissionError, match="no finite score"):
        grade(three_rows("1,2,3"), metric=lambda t, p: score)


def test_faults_of_the_metric(grade, fault, three_rows):
    def broken(truth, predicted):
        raise ValueError("only one class\nin the truth")

    def refusing(truth, predicted):
        raise InvalidSubmissionError("rows must rise")

    def leaving(truth, predicted):
        raise SystemExit(3)

    assert fault(three_rows("1,2,3"), metric=broken) == (
        "grader g failed on tiny: ValueError: only one class in the truth"
    )
    assert "SystemExit" in fault(three_rows("1,2,3"), metric=leaving)
    assert "a number is expected" in fault(three_rows("1,2,3"), metric=lambda t, p: "high")
    assert "no_such_module" in fault(three_rows("1,2,3"), metric="no_such_module:f")
    assert "no metric" in fault(three_rows("1,2,3"), metric="mleb_core.errors:no_such")
    with pytest.raises(InvalidSubmissionError, match="rows must rise"):
        grade(three_rows("1,2,3"), metric=refusing)


def test_a_metric_may_be_named(grade, three_rows):
    assert grade(three_rows("1,1,3"), metric="sklearn.metrics:mean_absolute_error") == pytest.approx(1 / 3)


def test_a_subclass_scores_whole_rows(tmp_path, submit):
    class Weighted(TableGrader):
        def score(self, table: CheckedTable, task, options):
            assert table.submission["note"].tolist() == ["x", "y", "z"]
            return float((self.truth(table, task) * table.answers["w"].to_numpy()).sum())

    (tmp_path / "answers.csv").write_text("id,y,w\na,1,1\nb,2,10\nc,3,100\n")
    grading = Grading(grader="w", columns={"y": {}})
    task = GradingTask("t", 1, grading, tmp_path, tmp_path)
    grader = Weighted("w", "", True, "Weighted.")
    assert grader.grade(submit("id,note,y\nc,z,1\na,x,1\nb,y,1\n"), task) == 321
