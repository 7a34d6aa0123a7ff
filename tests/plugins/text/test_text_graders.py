"""The graders of the pack as plugins find them: the contract, and what a broken cell is told."""

import json
import os

import pytest

from mleb_core.competition_spec import Column, Grading
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.protocol import GradingTask
from mleb_core.registry import Registry
from mleb_core.testing import GraderContract

IDS = ["r1", "r2", "r3", "r4"]


class TestMeanLevenshtein(GraderContract):
    id = "mean-levenshtein"
    answers = {"id": IDS, "text": ["one", "two, 2", "null hypothesis", "4"]}
    worse = {"text": ["one", "two", "nil", "x"]}


class TestNormalizedLevenshtein(GraderContract):
    id = "normalized-levenshtein"
    answers = {"id": IDS, "numbers": ["1 2 3", "4", "5 5", "6 7"]}
    worse = {"numbers": ["3 2 1", "04", "", "7 7 7"]}


class TestMeanWordJaccard(GraderContract):
    id = "mean-word-jaccard"
    answers = {"id": IDS, "text": ["one", "two, 2", "red green", "4 x"]}
    worse = {"text": ["One", "two", "", "x"]}


class TestPooledKendallTau(GraderContract):
    id = "pooled-kendall-tau"
    answers = {"id": IDS, "items": ["a b c", "b a", "x", "p q r s"]}
    worse = {"items": ["a c b", "b a", "x", "s p q r"]}

    def test_sample_of_the_contract_is_no_order(self, grader, task):
        with pytest.raises(InvalidSubmissionError, match=r"row 2 \(id 'r2'\), column 'items': 3 items where 2"):
            grader.validate(task.sample, task)


@pytest.fixture
def task(tmp_path):
    """Makes a competition of a grader with one target column."""

    def make(grader, answers, column="text", rule=None, name="answers.csv", **options):
        public, private = tmp_path / "public", tmp_path / "private"
        public.mkdir()
        private.mkdir()
        (private / name).write_text(answers)
        rule = Column.model_validate(rule or Registry().grader(grader).column)
        grading = Grading(grader=grader, answers=name, columns={column: rule}, options=options)
        return GradingTask("test", 1, grading, public, private)

    return make


def refused(grader, task, path, text):
    """The one line that validate and grade refuse a submission with."""
    path.write_text(text)
    found = []
    for method in (Registry().grader(grader).validate, Registry().grader(grader).grade):
        with pytest.raises(InvalidSubmissionError) as caught:
            method(path, task)
        found.append(str(caught.value))
    assert found[0] == found[1]
    assert "\n" not in found[0]
    return found[0]


def test_a_cell_that_is_no_order_is_named_by_its_place_in_the_file(task, tmp_path):
    given = task("pooled-kendall-tau", "id,text\na,1 2\nb,3 4\nc,5 6\n")
    path = tmp_path / "s.csv"
    message = refused("pooled-kendall-tau", given, path, "text,id\n6 5,c\n2 1,a\n3 5,b\n")
    assert message == "row 3 (id 'b'), column 'text': '5' is none of the items of this row"
    assert "the cell is empty" in refused("pooled-kendall-tau", given, path, "text,id\n6 5,c\n2 1,a\n,b\n")
    path.write_text("text,id\n6 5,c\n2 1,a\n3 4,b\n")
    assert Registry().grader("pooled-kendall-tau").grade(path, given) == pytest.approx(1 - 4 * 2 / 6)


@pytest.mark.parametrize("cell", ["1.0", "one", '"1,2"', "1 x", "0x1", "1__0"])
def test_lists_hold_whole_numbers(task, tmp_path, cell):
    given = task("normalized-levenshtein", "id,text\na,1 2\nb,3\n")
    message = refused("normalized-levenshtein", given, tmp_path / "s.csv", f"id,text\na,1 2\nb,{cell}\n")
    assert message.startswith("row 2 (id 'b'), column 'text': ")


def test_the_pattern_takes_what_int_takes(task, tmp_path):
    given = task("normalized-levenshtein", "id,text\na,1 2\nb,10\n")
    path = tmp_path / "s.csv"
    path.write_text('id,text\na," +01\t٢ "\nb,1_0\n')
    assert Registry().grader("normalized-levenshtein").grade(path, given) == 0


def lines(*answers):
    """JSON lines of examples 1, 2, ... with these long answers."""
    return "".join(
        json.dumps(
            {
                "annotations": [
                    {
                        "yes_no_answer": "NONE",
                        "long_answer": {"start_token": start, "end_token": end},
                        "short_answers": [],
                    }
                ],
                "example_id": str(number),
            }
        )
        + "\n"
        for number, (start, end) in enumerate(answers, 1)
    )


def test_spans(task, tmp_path):
    given = task("span-micro-f1", lines((3, 5), (-1, -1)), name="test.jsonl")
    grader, path = Registry().grader("span-micro-f1"), tmp_path / "s.csv"
    path.write_text("text,id\n,2_short\n,1_short\n3:5,1_long\n,2_long\n")
    grader.validate(path, given)
    assert grader.grade(path, given) == 1
    path.write_text("text,id\n3:5,2_short\n,1_short\n,1_long\n,2_long\n")
    assert grader.grade(path, given) == 0
    counted = GradingTask(
        "test", 1, given.grading.model_copy(update={"options": {"count_blanks": True}}), *_folders(given)
    )
    assert grader.grade(path, counted) == 0.5

    assert refused("span-micro-f1", given, path, "text,id\n,2_short\n,1_short\n3:5.0,1_long\n,2_long\n") == (
        "row 3 (id '1_long'), column 'text': '3:5.0' is not start:end, YES, NO or empty"
    )
    assert "unknown" in refused("span-micro-f1", given, path, "text,id\n,2_short\n,1_short\n,1_long\n,3_long\n")
    assert "1 id is missing" in refused("span-micro-f1", given, path, "text,id\n,2_short\n,1_short\n,1_long\n")


def test_spans_are_read_again_when_the_answers_change(task, tmp_path):
    given = task("span-micro-f1", lines((3, 5)), name="test.jsonl")
    grader, path = Registry().grader("span-micro-f1"), tmp_path / "s.csv"
    path.write_text("id,text\n1_short,\n1_long,3:5\n")
    assert grader.grade(path, given) == 1
    given.answers.write_text(lines((3, 6)))
    os.utime(given.answers, ns=(1, 1))
    assert grader.grade(path, given) == 0
    given.answers.unlink()
    with pytest.raises(GraderError, match="prepare them again"):
        grader.grade(path, given)


def _folders(task):
    return task.public, task.private
