"""What a competition may declare for a TableGrader under `[grading.options]`."""

import pytest


def test_options_that_are_not_the_graders_reach_the_metric(grade, seen, three_rows):
    options = {"k": 3, "labels": ["u", "v"], "extra_columns": "ignored"}
    grade(three_rows("1,2,3"), metric=seen, options=options)
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


def test_truth_of_other_columns(grade, seen, three_rows):
    answers = "id,real,other\na,1,7\nb,2,8\nc,3,9\n"
    grade(three_rows("1,2,3"), answers, metric=seen, options={"truth": "real"}, columns={"y": {"type": "label"}})
    assert (seen.truth.tolist(), seen.predicted.tolist()) == (["1", "2", "3"], ["1", "2", "3"])
    grade(three_rows("1,2,3"), answers, metric=seen, options={"truth": ["real", "other"]}, columns={"y": {}})
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


def test_further_columns_may_be_refused(refusal, grade, three_rows):
    options = {"extra_columns": "refused"}
    assert grade(three_rows("1,2,3"), options=options) == 0
    assert "column 'z' is not expected" in refusal("id,y,z\na,1,1\nb,2,1\nc,3,1\n", options=options)


def test_text_columns_of_numbers_may_be_refused(refusal, grade, seen, three_rows):
    answers = "id,y\na,u\nb,v\nc,w\n"
    named = {"options": {"refuse_numbers": True}, "columns": {"y": {"type": "text", "missing": True}}}
    grade(three_rows("1,x,"), answers, metric=seen, **named)
    assert seen.predicted.tolist() == ["1", "x", ""]
    grade(three_rows(",,"), answers, metric=seen, **named)
    assert "numbers throughout" in refusal(three_rows("1,,2"), answers, **named)


def test_missing_text_stands_for_empty_cells_on_both_sides(grade, seen, three_rows):
    named = {"options": {"missing_text": "nan"}, "columns": {"y": {"type": "text", "missing": True}}}
    grade(three_rows("x,,y"), "id,y\na,\nb,v\nc,w\n", metric=seen, **named)
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
def test_options_that_do_not_fit_are_the_graders_fault(options, expected, fault, three_rows):
    def metric(truth, predicted, w=None):
        return 1.0

    assert expected in fault(three_rows("1,2,3"), metric=metric, options=options, columns={"y": {}})
