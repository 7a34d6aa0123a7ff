"""What each cell of a submission must hold, and what it becomes."""

import numpy as np
import pytest


def agreement(truth, predicted):
    return float((truth == predicted).mean())


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
def test_cells_that_break_their_rule(refusal, rule, cells, expected, three_rows):
    assert expected in refusal(three_rows(cells), columns={"y": rule})


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
def test_cells_are_converted_by_their_rule(grade, seen, rule, cells, expected, three_rows):
    grade(three_rows(cells), "id,y\na,1\nb,0\nc,1\n", metric=seen, columns={"y": rule})
    assert seen.predicted.tolist() == expected
    assert [type(value) for value in seen.predicted.tolist()] == [type(value) for value in expected]


@pytest.mark.parametrize("type", ["number", "integer", "boolean"])
def test_empty_cells_that_are_allowed_are_nan(grade, seen, type, three_rows):
    rule = {"type": type, "missing": True}
    grade(three_rows("1,,0"), "id,y\na,1\nb,0\nc,1\n", metric=seen, columns={"y": rule})
    assert seen.predicted.dtype == np.float64
    assert np.isnan(seen.predicted).tolist() == [False, True, False]


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


def test_without_declared_columns_the_graders_rule_holds(grade, seen, refusal, three_rows):
    assert "is above 1" in refusal(three_rows("0,1,2"), column={"type": "number", "max": 1})
    grade(three_rows("0,1,2"), metric=seen, column={"type": "integer"})
    assert seen.predicted.dtype.kind == "i"
    grade(three_rows("0,1,2"), metric=seen, column={"type": "number", "max": 1}, columns={"y": {"type": "number"}})
    assert seen.predicted.tolist() == [0, 1, 2]
