"""Text columns whose cells must match a regular expression."""

import pytest

from mleb_core.competition_spec import Column
from mleb_core.errors import InvalidSubmissionError

ANSWERS = "id,y\na,1\nb,2 3\nc,4\n"
WHOLE = {"columns": {"y": {"type": "text", "missing": True, "pattern": "[0-9]+( [0-9]+)*"}}}


def agreement(truth, predicted):
    return float((truth == predicted).mean())


def test_cells_must_match_as_a_whole(grade):
    assert grade("id,y\na,1\nb,2 3\nc,\n", ANSWERS, metric=agreement, **WHOLE) == pytest.approx(2 / 3)
    for cell in ("x", "2  3", "2 3 ", "2 3\n", "-1", "1.0"):
        with pytest.raises(InvalidSubmissionError) as caught:
            grade(f'id,y\na,1\nb,"{cell}"\nc,4 {{5}}\n', ANSWERS, validate=True, **WHOLE)
        assert str(caught.value) == f"row 2 (id 'b'), column 'y': {cell!r} does not match [0-9]+( [0-9]+)*"


def test_a_column_of_numbers_is_matched_as_text(grade):
    assert grade("id,y\na,1\nb,2\nc,4\n", ANSWERS, metric=agreement, **WHOLE) == pytest.approx(2 / 3)
    with pytest.raises(InvalidSubmissionError, match=r"row 1 .*: 1\.0 does not match"):
        grade("id,y\na,1\nb,2\nc,\n", ANSWERS, validate=True, **WHOLE)


def test_the_answers_need_not_match(grade):
    strict = {"columns": {"y": {"type": "text", "pattern": "[a-z]"}}}
    assert grade("id,y\na,u\nb,v\nc,w\n", "id,y\na,U\nb,v\nc,?\n", metric=agreement, **strict) == pytest.approx(1 / 3)


def test_what_is_no_regular_expression_is_refused():
    with pytest.raises(ValueError, match="no regular expression: unterminated character set"):
        Column(type="text", pattern="[0-9")
