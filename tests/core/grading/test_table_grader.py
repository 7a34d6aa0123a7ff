"""TableGrader: columns by name, rows by id, cells by their rules, then the metric."""

import subprocess
import sys

import numpy as np
import pytest

from mleb_core.competition_spec import Grading
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.protocol import Grader, GradingTask
from mleb_core.grading.table import CheckedTable, TableGrader


def agreement(truth, predicted):
    return float((truth == predicted).mean())


class Seen:
    """A metric that keeps what it is given."""

    def __call__(self, truth, predicted, **options):
        self.truth, self.predicted, self.options = truth, predicted, options
        return 0.5


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def refusal(grade):
    """The one line with which a submission is refused, by validate and grade alike."""

    def refusal(*arguments, **named):
        with pytest.raises(InvalidSubmissionError) as caught:
            grade(*arguments, **named)
        with pytest.raises(InvalidSubmissionError) as validated:
            grade(*arguments, validate=True, **named)
        assert str(validated.value) == str(caught.value)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refusal


def fault(grade, *arguments, **named):
    with pytest.raises(GraderError) as caught:
        grade(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_is_a_grader_and_imports_nothing_heavy():
    assert isinstance(TableGrader("g", agreement, True, "x"), Grader)
    code = (
        "import sys, mleb_core.grading.table; print([m for m in ('pandas', 'numpy', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# Columns and rows


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


# Ids


@pytest.mark.parametrize(
    ("answers", "submission"),
    [
        ("1,2,3", "3,1,2"),
        ("1,2,3", "3.0,1.0,2.0"),
        ("00001,00002,00003", "3,1,2"),  # numbers on both sides, as pandas reads them
        ("1,2,3", "003,1,2.0"),
        ("9007199254740993,9007199254740992,1", "1,9007199254740992,9007199254740993"),
        ("18446744073709551615,2,1", "1,18446744073709551615,2"),
        ("-1,-2,3", "-2,3,-1"),
        ("007,7,x", "x,7,007"),
        ("1e5,100000,x", "x,100000,1e5"),
        ("0.1,0.25,x", "x,0.25,0.1"),
        ("None,b,c", "c,None,b"),  # pandas takes it for a missing value
        ("True,False,x", "x,True,False"),
    ],
)
def test_ids_of_one_kind_are_found(grade, seen, answers, submission):
    grade(_table(submission), _table(answers), metric=seen)
    given, wanted = submission.split(","), answers.split(",")
    if set(given) == set(wanted):
        assert seen.predicted.tolist() == [given.index(id) for id in wanted]
    else:
        assert sorted(seen.predicted.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("answers", "submission", "expected"),
    [
        ("007,8,x", "7,8,x", "row 1 (id '7'): the id is unknown"),
        ("1,2,3", "1,2,x", "row 3 (id 'x'): the id is unknown"),
        ("1,2,3", "1,2,2.5", "row 3 (id 2.5): the id is unknown"),
        ("a,b,c", "1,2,3", "row 1 (id 1): the id is unknown (3 such rows)"),
        ("1,2,3", "1,2,3.0000001", "unknown"),
        ("9007199254740993,2,1", "9007199254740992,2,1", "unknown"),
        ("18446744073709551615,2,1", "-1,2,1", "row 1 (id -1): the id is unknown"),
        ("1,2,3", "1,2,inf", "row 3 (id inf): the id is unknown"),
        ("1,2,3", f"1,2,{10**400}", "row 3 (id "),
    ],
)
def test_ids_that_are_not_the_same_are_not_taken_for_each_other(refusal, answers, submission, expected):
    assert expected in refusal(_table(submission), _table(answers))


def _table(ids):
    return "id,y\n" + "".join(f"{id},{row}\n" for row, id in enumerate(ids.split(",")))


def test_ids_of_several_columns(grade, refusal, seen):
    answers = "case,class,y\n1,x,1\n1,y,2\n2,x,3\n"
    grade("class,y,case\ny,20,1\nx,30,2\nx,10,1\n", answers, metric=seen, id=("case", "class"))
    assert seen.predicted.tolist() == [10, 20, 30]
    assert seen.truth.tolist() == [1, 2, 3]
    message = refusal("class,y,case\ny,20,1\nx,30,2\nx,10,2\n", answers, id=("case", "class"))
    assert message == "row 3 (case 2, class 'x'): the id stands in row 2 already"
    assert "row 2 (case 2, class 'y'): the id is unknown" in refusal(
        "class,y,case\ny,20,1\ny,30,2\nx,10,1\n", answers, id=("case", "class")
    )


def test_answers_with_repeated_ids_need_the_option(grade, refusal, seen):
    answers = "id,y\na,1\na,2\nb,3\n"
    assert "not unique" in fault(grade, "id,y\nb,1\na,2\na,3\n", answers)
    options = {"repeated_ids": True}
    grade("id,y\nb,30\na,10\na,20\n", answers, metric=seen, options=options)
    assert seen.predicted.tolist() == [10, 20, 30]
    assert "stands there too often" in refusal("id,y\nb,3\nb,1\na,2\n", answers, options=options)
    assert "1 id is missing" in refusal("id,y\nb,3\na,2\n", answers, options=options)


def test_a_million_rows_in_any_order(grade, seen):
    n = 1_000_000
    ids = np.arange(n)
    shuffled = np.random.default_rng(0).permutation(n)
    answers = "id,y\n" + "\n".join(f"k{i},{i}" for i in ids) + "\n"
    grade("id,y\n" + "\n".join(f"k{i},{i}" for i in shuffled) + "\n", answers, metric=seen)
    assert bool((seen.truth == seen.predicted).all())


# Cells


@pytest.mark.parametrize(
    ("rule", "cells", "expected"),
    [
        ({"type": "number", "min": 0}, "0,-0.1,5", "row 2 (id 'b'), column 'y': -0.1 is below 0"),
        ({"type": "number", "max": 1}, "0,1,1.000000001", "row 3 (id 'c'), column 'y': 1.000000001 is above 1"),
        ({"type": "integer"}, "1,2.5,3", "row 2 (id 'b'), column 'y': 2.5 is not a whole number"),
        ({"type": "integer"}, "1,,3", "row 2 (id 'b'), column 'y': the cell is empty"),
        ({"type": "integer"}, "1,two,3", "'two' is not a number"),
        ({"type": "number"}, f"1,{10**400},3", "row 2 (id 'b'), column 'y'"),
        ({"type": "number"}, f"1,{-(10**400)},3", "row 2 (id 'b'), column 'y'"),
        ({"type": "integer"}, f"{10**400},2,3", "row 1 (id 'a'), column 'y'"),
        ({"type": "boolean"}, f"1,0,{10**400}", "row 3 (id 'c'), column 'y'"),
        ({"type": "integer", "missing": True}, "1,,3.5", "row 3 (id 'c'), column 'y': 3.5 is not a whole number"),
        ({"type": "integer", "values": [1, 2]}, "1,2,3", "row 3 (id 'c'), column 'y': 3 is none of 1, 2"),
        ({"type": "boolean"}, "True,maybe,False", "row 2 (id 'b'), column 'y': 'maybe' is neither true nor false"),
        ({"type": "boolean"}, "0,1,2", "row 3 (id 'c'), column 'y': 2 is neither true nor false"),
        ({"type": "boolean"}, "0.5,1,0", "0.5 is neither true nor false"),
        ({"type": "boolean"}, "True,,False", "row 2 (id 'b'), column 'y': the cell is empty"),
        ({"type": "label"}, "1,cat,2", "row 2 (id 'b'), column 'y': 'cat' is not a number"),
        ({"type": "label"}, "1,,2", "row 2 (id 'b'), column 'y': the cell is empty"),
        ({"type": "text"}, "u,,v", "row 2 (id 'b'), column 'y': the cell is empty"),
        ({"type": "label", "values": ["1", "2"]}, "1,2,3", "row 3 (id 'c'), column 'y': 3 is none of '1', '2'"),
    ],
)
def test_cells_that_break_their_rule(refusal, rule, cells, expected):
    assert expected in refusal(_cells(cells), columns={"y": rule})


@pytest.mark.parametrize(
    ("rule", "cells", "expected"),
    [
        ({"type": "number"}, "1,2.5,-3e2", [1.0, 2.5, -300.0]),
        ({"type": "number"}, "True,False,True", [1.0, 0.0, 1.0]),
        ({"type": "number", "min": 0, "max": 1}, "0,1,0.5", [0.0, 1.0, 0.5]),
        ({"type": "integer"}, "1,2.0,3", [1, 2, 3]),
        ({"type": "integer"}, "True,False,True", [1, 0, 1]),
        ({"type": "integer"}, "1,18446744073709551615,2", [1, 18446744073709551615, 2]),
        ({"type": "boolean"}, "True,FALSE,true", [True, False, True]),
        ({"type": "boolean"}, "1,0,1.0", [True, False, True]),
        ({"type": "label"}, "1,2.0,3", ["1", "2", "3"]),
        ({"type": "label"}, "1,2.5,-3", ["1", "2.5", "-3"]),
        ({"type": "label", "missing": True}, "1,,3", ["1", "", "3"]),
        ({"type": "text"}, "1,2,3", ["1", "2", "3"]),
        ({"type": "text"}, "1.0,2,3", ["1.0", "2.0", "3.0"]),
        ({"type": "text"}, "01,x,2.50", ["01", "x", "2.50"]),
        ({"type": "text", "missing": True}, "x,,NA", ["x", "", ""]),
        ({"type": "text", "missing": True}, ",,", ["", "", ""]),
    ],
)
def test_cells_are_converted_by_their_rule(grade, seen, rule, cells, expected):
    grade(_cells(cells), "id,y\na,1\nb,0\nc,1\n", metric=seen, columns={"y": rule})
    assert seen.predicted.tolist() == expected
    assert [type(value) for value in seen.predicted.tolist()] == [type(value) for value in expected]


@pytest.mark.parametrize("type", ["number", "integer", "boolean"])
def test_empty_cells_that_are_allowed_are_nan(grade, seen, type):
    rule = {"type": type, "missing": True}
    grade(_cells("1,,0"), "id,y\na,1\nb,0\nc,1\n", metric=seen, columns={"y": rule})
    assert seen.predicted.dtype == np.float64
    assert np.isnan(seen.predicted).tolist() == [False, True, False]


def _cells(cells):
    return "id,y\n" + "".join(f"{id},{cell}\n" for id, cell in zip("abc", cells.split(","), strict=True))


def test_labels_are_one_kind_with_the_answers(grade, refusal):
    words = "id,y\na,cat\nb,dog\nc,cat\n"
    rule = {"columns": {"y": {"type": "label"}}}
    assert grade("id,y\na,cat\nb,cat\nc,Cat\n", words, metric=agreement, **rule) == pytest.approx(1 / 3)
    assert grade("id,y\na,cat\nb,2\nc,cat\n", words, metric=agreement, **rule) == pytest.approx(2 / 3)
    assert refusal("id,y\na,1\nb,2\nc,1\n", words, **rule).startswith("column 'y': it holds numbers throughout")
    flags = "id,y\na,True\nb,False\nc,True\n"
    assert grade("id,y\na,1\nb,0\nc,0.0\n", flags, metric=agreement, **rule) == pytest.approx(2 / 3)
    assert grade("id,y\na,True\nb,false\nc,True\n", flags, metric=agreement, **rule) == 1
    numbers = "id,y\na,1\nb,0\nc,1\n"
    assert grade("id,y\na,True\nb,False\nc,True\n", numbers, metric=agreement, **rule) == 1


def test_columns_of_different_rules_and_the_rest(grade, refusal, seen):
    answers = "id,p,name,q\na,0.1,x,1\nb,0.2,y,2\nc,0.3,z,3\n"
    columns = {"*": {"type": "number", "min": 0}, "name": {"type": "text"}}
    grade("id,q,name,p\na,1,x,0.1\nb,2,y,0.2\nc,3,w,0.3\n", answers, metric=seen, columns=columns)
    assert seen.predicted.tolist() == [[0.1, "x", 1.0], [0.2, "y", 2.0], [0.3, "w", 3.0]]
    message = refusal("id,q,name,p\na,1,x,0.1\nb,-2,y,0.2\nc,3,w,0.3\n", answers, columns=columns)
    assert message == "row 2 (id 'b'), column 'q': -2 is below 0"


def test_many_number_columns_give_a_matrix_in_the_answers_order(grade, refusal, seen):
    answers = "id,p,q\na,1,2\nb,3,4\nc,5,6\n"
    columns = {"*": {"type": "number", "min": 0, "max": 60}}
    grade("id,q,p\nc,60,50\nb,40,30\na,20,10\n", answers, metric=seen, columns=columns)
    assert seen.truth.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert seen.predicted.tolist() == [[10, 20], [30, 40], [50, 60]]
    assert "row 2 (id 'b'), column 'q': 61 is above 60" in refusal(
        "id,q,p\nc,60,50\nb,61,30\na,20,10\n", answers, columns=columns
    )
    assert "row 3 (id 'a'), column 'p': the cell is empty" in refusal(
        "id,q,p\nc,60,50\nb,6,30\na,20,\n", answers, columns=columns
    )


def test_without_declared_columns_the_graders_rule_holds(grade, seen, refusal):
    assert "is above 1" in refusal(_cells("0,1,2"), column={"type": "number", "max": 1})
    grade(_cells("0,1,2"), metric=seen, column={"type": "integer"})
    assert seen.predicted.dtype.kind == "i"
    grade(_cells("0,1,2"), metric=seen, column={"type": "number", "max": 1}, columns={"y": {"type": "number"}})
    assert seen.predicted.tolist() == [0, 1, 2]


# Options


def test_options_that_are_not_the_graders_reach_the_metric(grade, seen):
    options = {"k": 3, "labels": ["u", "v"], "extra_columns": "ignored"}
    grade(_cells("1,2,3"), metric=seen, options=options)
    assert seen.options == {"k": 3, "labels": ["u", "v"]}


def test_extras_are_columns_of_the_answers_in_the_rows_order(grade, seen):
    answers = "id,y,weight,u,v\na,1,0.5,1,2\nb,2,0.25,3,4\nc,3,0.125,5,6\n"
    options = {"extras": {"weights": "weight", "pairs": ["u", "v"], "ids": "id"}}
    grade("id,y\nc,3\na,1\nb,2\n", answers, metric=seen, options=options, columns={"y": {}})
    assert seen.options["weights"].tolist() == [0.5, 0.25, 0.125]
    assert seen.options["pairs"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert seen.options["ids"].tolist() == ["a", "b", "c"]


def test_where_scores_some_rows_and_checks_all(grade, refusal, seen):
    answers = "id,y,used,w\na,1,0,5\nb,2,1,6\nc,3,1,7\n"
    named = {"options": {"where": "used == 1", "extras": {"w": "w"}}, "columns": {"y": {}}}
    grade("id,y\nc,30\na,10\nb,20\n", answers, metric=seen, **named)
    assert (seen.truth.tolist(), seen.predicted.tolist()) == ([2, 3], [20, 30])
    assert seen.options["w"].tolist() == [6, 7]
    assert "row 2 (id 'a'), column 'y': the cell is empty" in refusal("id,y\nc,3\na,\nb,2\n", answers, **named)
    assert "1 id is missing" in refusal("id,y\nc,3\nb,2\n", answers, **named)


def test_rows_that_are_not_scored_may_be_free(grade, refusal, seen):
    answers = "id,y,used\na,1,1\nb,2,0\nc,3,1\n"
    named = {"options": {"where": "used == 1", "unscored": "free"}, "columns": {"y": {"max": 100}}}
    for free in ("", "text", "1000", "inf"):
        grade(f"id,y\nc,30\nb,{free}\na,10\n", answers, metric=seen, **named)
        assert (seen.truth.tolist(), seen.predicted.tolist()) == ([1, 3], [10, 30])
    assert "row 3 (id 'a'), column 'y': 'ten' is not a number" in refusal("id,y\nc,30\nb,\na,ten\n", answers, **named)
    assert "1 id is missing" in refusal("id,y\nc,3\na,2\n", answers, **named)


def test_unscored_cells_may_be_empty_and_nothing_else(grade, refusal):
    answers = "id,y,used\na,1,1\nb,2,0\nc,3,1\n"
    named = {"options": {"where": "used == 1", "unscored": "gaps"}, "columns": {"y": {}}}
    assert grade("id,y\nc,4\nb,\na,1\n", answers, **named) == 0.5
    assert grade("id,y\nc,4\nb,99\na,1\n", answers, **named) == 0.5
    assert "row 2 (id 'b'), column 'y': 'x' is not a number" in refusal("id,y\nc,4\nb,x\na,1\n", answers, **named)
    assert "row 2 (id 'b'), column 'y': inf is not finite" in refusal("id,y\nc,4\nb,inf\na,1\n", answers, **named)
    assert "row 1 (id 'c'), column 'y': the cell is empty" in refusal("id,y\nc,\nb,1\na,1\n", answers, **named)


def test_unscored_rows_may_be_left_out_where_they_are_optional(grade, refusal):
    answers = "id,y,used\na,1,1\nb,2,0\nc,3,1\n"
    options = {"where": "used == 1", "unscored_rows": "optional"}
    for unscored in ("checked", "gaps", "free"):
        named = {"options": {**options, "unscored": unscored}, "columns": {"y": {}}}
        assert grade("id,y\nc,4\na,1\n", answers, **named) == 0.5
        assert grade("id,y\nc,4\nb,7\na,1\n", answers, **named) == 0.5
        assert "1 id is missing" in refusal("id,y\nb,2\na,1\n", answers, **named)
        assert "row 3 (id 'b'): the id stands in row 2" in refusal("id,y\nc,4\nb,1\nb,1\na,1\n", answers, **named)
        assert "row 2 (id 'q'): the id is unknown" in refusal("id,y\nc,4\nq,1\na,1\n", answers, **named)


def test_unknown_rows_may_be_ignored(grade, refusal):
    named = {"options": {"unknown_ids": "ignored"}}
    assert grade("id,y\nq,\nc,4\nb,2\nr,text\na,1\n", **named) == pytest.approx(1 / 3)
    assert "1 id is missing" in refusal("id,y\nq,1\nc,4\nb,2\n", **named)
    assert "row 3 (id 'q'): the id stands in row 1" in refusal("id,y\nq,1\nc,4\nq,1\nb,2\na,1\n", **named)
    assert "row 4 (id 'a'), column 'y': the cell is empty" in refusal("id,y\nq,1\nc,4\nb,2\na,\n", **named)


def test_required_columns_must_be_there_whatever_they_hold(grade, refusal):
    named = {"columns": {"y": {}}, "options": {"required_columns": ["z"]}}
    assert grade("id,y,z\na,1,text\nb,2,\nc,3,inf\n", **named) == 0
    assert "column 'z' is missing" in refusal("id,y\na,1\nb,2\nc,3\n", **named)


def test_row_sums(grade, refusal, seen):
    answers = "id,p,q\na,1,0\nb,0,1\nc,1,0\n"
    named = {"options": {"row_sum": {"value": 1.0, "tolerance": 1e-3}}}
    grade("id,p,q\na,0.5,0.5\nb,0.3,0.7009\nc,1,0\n", answers, metric=seen, **named)
    assert seen.options == {}
    message = refusal("id,p,q\na,0.5,0.5\nb,0.3,0.702\nc,1,0\n", answers, **named)
    assert message == "row 2 (id 'b'): the target columns sum to 1.002, expected 1 within 0.001"


def test_truth_of_other_columns(grade, seen):
    answers = "id,real,other\na,1,7\nb,2,8\nc,3,9\n"
    grade(_cells("1,2,3"), answers, metric=seen, options={"truth": "real"}, columns={"y": {"type": "label"}})
    assert (seen.truth.tolist(), seen.predicted.tolist()) == (["1", "2", "3"], ["1", "2", "3"])
    grade(_cells("1,2,3"), answers, metric=seen, options={"truth": ["real", "other"]}, columns={"y": {}})
    assert seen.truth.tolist() == [[1, 7], [2, 8], [3, 9]]


def test_columns_may_have_to_stand_in_their_places(refusal, grade):
    answers = "id,p,q\na,1,2\nb,3,4\nc,5,6\n"
    rows = "\na,1,2\nb,3,4\nc,5,6\n"
    assert grade("id,p,q" + rows, answers, options={"column_order": "fixed"}) == 0
    assert (
        refusal("id,q,p" + rows, answers, options={"column_order": "fixed"}) == "column 2 is 'q' where 'p' must stand"
    )
    assert grade("id,q,p\na,2,1\nb,4,3\nc,6,5\n", answers, options={"column_order": "id_first"}) == 0
    last = "p,q,id\n1,2,a\n3,4,b\n5,6,c\n"
    assert refusal(last, answers, options={"column_order": "id_first"}) == "column 1 is 'p' where 'id' must stand"


def test_further_columns_may_be_refused(refusal, grade):
    options = {"extra_columns": "refused"}
    assert grade(_cells("1,2,3"), options=options) == 0
    assert "column 'z' is not expected" in refusal("id,y,z\na,1,1\nb,2,1\nc,3,1\n", options=options)


def test_text_columns_of_numbers_may_be_refused(refusal, grade, seen):
    answers = "id,y\na,u\nb,v\nc,w\n"
    named = {"options": {"refuse_numbers": True}, "columns": {"y": {"type": "text", "missing": True}}}
    grade(_cells("1,x,"), answers, metric=seen, **named)
    assert seen.predicted.tolist() == ["1", "x", ""]
    grade(_cells(",,"), answers, metric=seen, **named)
    assert "numbers throughout" in refusal(_cells("1,,2"), answers, **named)


def test_missing_text_stands_for_empty_cells_on_both_sides(grade, seen):
    named = {"options": {"missing_text": "nan"}, "columns": {"y": {"type": "text", "missing": True}}}
    grade(_cells("x,,y"), "id,y\na,\nb,v\nc,w\n", metric=seen, **named)
    assert (seen.truth.tolist(), seen.predicted.tolist()) == (["nan", "v", "w"], ["x", "nan", "y"])


def test_read_options_hold_for_both_files(refusal, grade):
    answers = "id,y\n007,1\n008,2\n009,3\n"
    assert grade("id,y\n7,1\n8,2\n9,3\n", answers) == 0
    options = {"read": {"dtype": {"id": "str"}}}
    assert grade("id,y\n009,3\n007,1\n008,2\n", answers, options=options) == 0
    assert "row 1 (id '7'): the id is unknown" in refusal("id,y\n7,1\n8,2\n9,3\n", answers, options=options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"row_sum": {"value": 1.0}}, "grading.options.row_sum.tolerance"),
        ({"where": "no_such == 1"}, "grading.options.where"),
        ({"where": "y > 100"}, "leaves no row"),
        ({"extras": {"w": "nowhere"}}, "no column 'nowhere'"),
        ({"unscored": "maybe"}, "grading.options.unscored"),
        ({"truth": "nowhere"}, "no column 'nowhere'"),
        ({"no_such_option": 1}, "no_such_option"),
    ],
)
def test_options_that_do_not_fit_are_the_graders_fault(grade, options, expected):
    def metric(truth, predicted, w=None):
        return 1.0

    assert expected in fault(grade, _cells("1,2,3"), metric=metric, options=options, columns={"y": {}})


# Faults


@pytest.mark.parametrize(
    ("answers", "named", "expected"),
    [
        ("key,y\na,1\n", {}, "no id column 'id'"),
        ("id,z\na,1\nb,1\nc,1\n", {"columns": {"y": {}}}, "no column 'y'"),
        ("id\na\nb\nc\n", {}, "no target column"),
        ("id,y\na,1\nb,secret\nc,1\n", {"columns": {"y": {}}}, "row 2, column 'y': a value is not of type number"),
    ],
)
def test_answers_that_do_not_fit_are_the_graders_fault(grade, answers, named, expected):
    message = fault(grade, _cells("1,2,3"), answers, **named)
    assert expected in message
    assert "secret" not in message


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -np.inf, np.float64("nan")])
def test_a_score_that_is_not_finite_is_an_invalid_submission(grade, score):
    with pytest.raises(InvalidSubmissionError, match="no finite score"):
        grade(_cells("1,2,3"), metric=lambda t, p: score)


def test_faults_of_the_metric(grade):
    def broken(truth, predicted):
        raise ValueError("only one class\nin the truth")

    def refusing(truth, predicted):
        raise InvalidSubmissionError("rows must rise")

    def leaving(truth, predicted):
        raise SystemExit(3)

    assert fault(grade, _cells("1,2,3"), metric=broken) == (
        "grader g failed on tiny: ValueError: only one class in the truth"
    )
    assert "SystemExit" in fault(grade, _cells("1,2,3"), metric=leaving)
    assert "a number is expected" in fault(grade, _cells("1,2,3"), metric=lambda t, p: "high")
    assert "no_such_module" in fault(grade, _cells("1,2,3"), metric="no_such_module:f")
    assert "no metric" in fault(grade, _cells("1,2,3"), metric="mleb_core.errors:no_such")
    with pytest.raises(InvalidSubmissionError, match="rows must rise"):
        grade(_cells("1,2,3"), metric=refusing)


def test_a_metric_may_be_named(grade):
    assert grade(_cells("1,1,3"), metric="sklearn.metrics:mean_absolute_error") == pytest.approx(1 / 3)


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
