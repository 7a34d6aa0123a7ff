"""Answers to questions on a document: token spans, YES, NO, or blank where the document has none."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mleb_core.errors import GraderError

__all__ = ["Answer", "read_valid_answers", "span", "span_micro_f1", "write_unanswered"]

Answer = tuple[int, int] | str
"""First and last token, or "YES" or "NO"."""

_KEY = b'"annotations":['


def span(text: str) -> Answer | None:
    """A cell's answer: "start:end" (whole numbers, as Python's `int` reads them), "YES" or "NO"; None for a blank one.

    Raises:
        ValueError: it is something else.
    """
    text = text.strip()
    if text.count(":") == 1:
        start, end = text.split(":")
        return int(start), int(end)
    if text in ("YES", "NO"):
        return text
    if text:
        raise ValueError("expected start:end, YES, NO or nothing")
    return None


def span_micro_f1(
    valid: Sequence[Collection[Answer]], predicted: Sequence[Answer | None], *, count_blanks: bool = False
) -> float:
    """F1 of answers, their counts summed over all rows: 2 TP / (2 TP + FP + FN); 0 where nothing is to count.

    A prediction that is one of the row's valid answers is a true positive, any other one a false positive; a blank is
    a false negative where the row has a valid answer.

    Args:
        valid: the valid answers of each row; none where the document has no answer.
        predicted: one answer a row, None where it is left blank.
        count_blanks: average over both classes, answered or not, so that a blank where there is no answer counts as
            right, too: the score is then the share of rows that are right.

    Source: Kaggle's evaluation of tensorflow2-question-answering (2019); with `count_blanks` scikit-learn's
    `f1_score(average="micro")` of "answered" against "answerable as answered".
    """
    right = wrong = lost = left = 0
    for answers, guess in zip(valid, predicted, strict=True):
        if guess is None:
            lost += bool(answers)
            left += not answers
        elif guess in answers:
            right += 1
        else:
            wrong += 1
    if count_blanks:
        return (right + left) / (right + wrong + lost + left)
    below = 2 * right + wrong + lost
    return 2 * right / below if below else 0.0


def read_valid_answers(path: Path) -> tuple[list[str], list[frozenset[Answer]]]:
    """Row ids, `<example_id>_short` and `<example_id>_long` for each example in turn, and their valid answers.

    Long: the span of long_answer, unless it starts at -1. Short: each of short_answers, and yes_no_answer unless it is
    "NONE". Of several annotations the first counts.

    Args:
        path: JSON lines with example_id and annotations, as the Natural Questions have them.

    Raises:
        GraderError: the file is missing, or a line is not of that form.
    """
    ids: list[str] = []
    valid: list[frozenset[Answer]] = []
    number = 0
    try:
        with path.open("rb") as stream:
            for line in stream:
                number += 1
                if not line.strip():
                    continue
                example = _example(line)
                notes = example["annotations"][0]
                short: list[Answer] = [(s["start_token"], s["end_token"]) for s in notes["short_answers"]]
                if notes["yes_no_answer"] != "NONE":
                    short.append(str(notes["yes_no_answer"]))
                ids += [f"{example['example_id']}_short", f"{example['example_id']}_long"]
                valid += [frozenset(short), frozenset(_long(notes["long_answer"]))]
    except OSError as error:
        raise GraderError(f"the answers {path} cannot be read: {error.strerror or error}; prepare them again") from None
    except (ValueError, LookupError, TypeError) as error:
        raise GraderError(
            f"the answers {path}, line {number}: no annotated example ({type(error).__name__}: {error}); "
            "prepare them again"
        ) from None
    if not ids:
        raise GraderError(f"the answers {path} hold no example; prepare them again")
    return ids, valid


def write_unanswered(examples: Iterable[str], target: Path) -> None:
    """A file for `read_valid_answers` in which no example has an answer.

    Args:
        examples: their ids.
        target: the file.
    """
    blank = {"long_answer": {"start_token": -1, "end_token": -1}, "short_answers": [], "yes_no_answer": "NONE"}
    with target.open("w", encoding="utf-8") as stream:
        for example in examples:
            stream.write(json.dumps({"annotations": [blank], "example_id": example}) + "\n")


def _long(answer: dict[str, Any]) -> Iterator[Answer]:
    if answer["start_token"] != -1:
        yield answer["start_token"], answer["end_token"]


def _example(line: bytes) -> dict[str, Any]:
    """The example of a line, read from its annotations on where they are followed by the id.

    The document before them is most of the line. Inside a JSON text quotes are escaped, so the key found is a key.
    """
    at = line.rfind(_KEY)
    if at >= 0:
        try:
            tail: dict[str, Any] = json.loads(b"{" + line[at:])
        except ValueError:
            tail = {}
        if {"annotations", "example_id"} <= tail.keys():
            return tail
    whole: dict[str, Any] = json.loads(line)
    return whole
