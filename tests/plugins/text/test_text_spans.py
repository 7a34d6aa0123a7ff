"""Micro F1 of answers against scikit-learn, and reading the answers."""

import json
import random

import pytest
from sklearn.metrics import f1_score

from mleb_core.errors import GraderError
from mleb_text.spans import read_valid_answers, span, span_micro_f1


def rows(seed):
    draw = random.Random(seed)
    choices = [(1, 2), (1, 3), (4, 9), "YES", "NO"]
    valid = [frozenset(draw.sample(choices, draw.choice([0, 0, 1, 2]))) for _ in range(300)]
    return valid, [draw.choice([None, None, *choices]) for _ in valid]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_scikit_learns(seed):
    valid, predicted = rows(seed)
    answered = [int(guess is not None) for guess in predicted]
    right = [int(bool(v) if g is None else g in v) for v, g in zip(valid, predicted, strict=True)]
    both = f1_score(right, answered, average="micro")
    assert span_micro_f1(valid, predicted, count_blanks=True) == pytest.approx(both, abs=1e-12)
    assert span_micro_f1(valid, predicted) == pytest.approx(f1_score(right, answered), abs=1e-12)


def test_nothing_to_count():
    assert span_micro_f1([(), ()], [None, None]) == 0
    assert span_micro_f1([(), ()], [None, None], count_blanks=True) == 1


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4:45", (4, 45)),
        (" 04 : +45 ", (4, 45)),
        ("-1:-1", (-1, -1)),
        ("YES", "YES"),
        (" NO\n", "NO"),
        ("", None),
        ("  ", None),
    ],
)
def test_cells(text, answer):
    assert span(text) == answer


@pytest.mark.parametrize("text", ["4", "4:", ":4", "4:5:6", "4:5.0", "yes", "YES NO", "a:b", "4-5", "nan", "4:5 6:7"])
def test_cells_that_are_no_answer(text):
    with pytest.raises(ValueError, match=r"\w"):
        span(text)


def example(id, **annotation):
    notes = {"yes_no_answer": "NONE", "long_answer": {"start_token": -1, "end_token": -1}, "short_answers": []}
    return {
        "document_text": 'a "annotations":[1] b',
        "annotations": [{**notes, **annotation}],
        "document_url": 'http://x/"annotations":[',
        "example_id": id,
    }


EXAMPLES = [
    example(
        "7", long_answer={"start_token": 3, "end_token": 9}, short_answers=[{"start_token": 4, "end_token": 5}] * 2
    ),
    example("-8", yes_no_answer="YES", short_answers=[{"start_token": 1, "end_token": 2}]),
    example(9),
]
VALID = [{(4, 5)}, {(3, 9)}, {"YES", (1, 2)}, set(), set(), set()]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("keys", ["as they stand", "sorted"])
def test_reading_answers(tmp_path, separators, keys):
    path = tmp_path / "test.jsonl"
    path.write_text(
        "\n".join(json.dumps(e, separators=separators, sort_keys=keys == "sorted") for e in EXAMPLES) + "\n\n"
    )
    ids, valid = read_valid_answers(path)
    assert ids == ["7_short", "7_long", "-8_short", "-8_long", "9_short", "9_long"]
    assert valid == VALID


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "{}\n",
        "no json\n",
        '{"annotations":[],"example_id":1}\n',
        '{"annotations":[{}],"example_id":1}\n',
        "[1]\n",
    ],
)
def test_answers_of_another_form(tmp_path, text):
    path = tmp_path / "test.jsonl"
    path.write_text(text)
    with pytest.raises(GraderError, match="prepare them again") as caught:
        read_valid_answers(path)
    assert "\n" not in str(caught.value)


def test_answers_that_are_missing(tmp_path):
    with pytest.raises(GraderError, match="cannot be read"):
        read_valid_answers(tmp_path / "test.jsonl")
