"""Graders that take cells as pandas keeps them say what they say of Python's strings, on plain and on nasty files."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mleb_core.competition_spec import Column, Grading
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.protocol import GradingTask
from mleb_core.grading.table import TableGrader
from mleb_metrics.hooks import AS_KEPT, mleb_register_graders

GRADERS = {grader.id: grader for grader in mleb_register_graders()}
NUMBERS = ["0", "1", "2", "-1", "+1", "007", "1.0", "2.5", "1e0", " 1", "9007199254740993", "9007199254740992.0"]
HUGE = ["9223372036854775807", "9223372036854775808", "18446744073709551615", "1" * 400, "inf", "-0", "0x1"]
WORDS = [
    "a",
    "b a",
    "a a",
    "a b c d e f g h",
    " b  a ",
    "A",
    "é a",
    "x" * 70,
    '"a,b"',
    '"a\nb"',
    "tag-10001",
    "tag-10002",
]
EMPTY = ["", "NA", "nan", "None", "null", '""', '" "']
FLAGS = ["True", "False", "TRUE", "true"]
cells = st.one_of(*(st.sampled_from(kind) for kind in (NUMBERS, NUMBERS + HUGE, WORDS, WORDS + EMPTY, FLAGS)))
columns = st.one_of(
    *(
        st.lists(st.sampled_from(kind), min_size=4, max_size=4)
        for kind in (NUMBERS[:3], NUMBERS, NUMBERS + HUGE, WORDS, WORDS + EMPTY, FLAGS, FLAGS + EMPTY, NUMBERS + EMPTY)
    ),
    st.lists(cells, min_size=4, max_size=4),
)


def outcome(grader, folder, grading):
    """The score, or the refusal's text."""
    try:
        return grader.grade(folder / "submission.csv", GradingTask("c", 1, grading, folder, folder))
    except (InvalidSubmissionError, GraderError) as error:
        return type(error).__name__, str(error)


@pytest.mark.parametrize("id", sorted(AS_KEPT))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    truth=columns,
    predicted=columns,
    order=st.permutations(range(4)),
    kind=st.sampled_from(["text", "label"]),
    missing=st.booleans(),
    values=st.sampled_from([None, None, (1, 2, "a")]),
    where=st.sampled_from([None, "part == 1"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
@example(["1", "2", "3", "4"], ["1.0", "2.5", "3", "4"], [3, 1, 0, 2], "label", False, None, None, "\n")
@example(
    ["1", "2", "3", "9007199254740993"],
    ["1", "2", "3", "9007199254740992.0"],
    [0, 1, 2, 3],
    "label",
    False,
    None,
    None,
    "\n",
)
@example(["a", "", "é", "b"], ["a", "b", "", "b b"], [3, 1, 0, 2], "text", True, None, None, "\n")
def test_scores_and_refusals_are_the_same(tmp_path, id, truth, predicted, order, kind, missing, values, where, end):
    answers = [f"k{row},{cell},{row % 2}" for row, cell in enumerate(truth)]
    guesses = [f"k{row},{predicted[row]}" for row in order]
    (tmp_path / "answers.csv").write_bytes(end.join(["id,y,part", *answers, ""]).encode())
    (tmp_path / "submission.csv").write_bytes(end.join(["id,y", *guesses, ""]).encode())
    more = {"k": 3} if id == "map-at-k" else {}
    grading = Grading(
        grader=id,
        answers="answers.csv",
        id=("id",),
        columns={"y": Column(type=kind, missing=missing, values=values)},
        options={**more, "where": where} if where else more,
    )
    kept = GRADERS[id]
    assert kept.as_kept is not None
    plain = TableGrader(id, kept.metric, kept.higher_is_better, kept.summary, kept.column)
    assert outcome(kept, tmp_path, grading) == outcome(plain, tmp_path, grading)
