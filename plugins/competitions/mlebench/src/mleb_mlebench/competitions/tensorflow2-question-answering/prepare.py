"""In each block of 1000 lines a tenth of the questions is hidden: their annotations, and where they are from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, need_columns, random_split, write_csv

SOURCE = "simplified-nq-train.jsonl"
BLOCK = 1000
SHOWN = ["example_id", "question_text", "document_text", "long_answer_candidates"]


def prepare(context: Preparation) -> None:
    """Split simplified-nq-train.jsonl block by block, each by the same shuffle.

    Public: train as it is; of test only the columns of `SHOWN`; a sample submission of blanks. Private: test as it is,
    which is what grading reads, and gold_submission.csv, a submission with the right answers.
    """
    public, private = context.public, context.private
    gold: list[tuple[str, str]] = []
    with (
        (public / SOURCE).open("xb") as train,
        (private / "test.jsonl").open("xb") as test,
        (public / "simplified-nq-test.jsonl").open("xb") as shown,
    ):
        for number, block in enumerate(_blocks(context.raw / SOURCE), 1):
            need_columns(block, [*SHOWN, "annotations"], SOURCE)
            block["example_id"] = block["example_id"].astype(str)
            parts = random_split(len(block), 0.1, what=f"lines in block {number}")
            hidden = block.iloc[parts.test]
            for table, file in ((block.iloc[parts.train], train), (hidden, test), (hidden[SHOWN], shown)):
                table.to_json(file, orient="records", lines=True)
            for id, annotations in zip(hidden["example_id"], hidden["annotations"], strict=True):
                try:
                    gold += [(f"{id}_short", _short(annotations[0])), (f"{id}_long", _long(annotations[0]))]
                except (LookupError, TypeError) as error:
                    what = f"{type(error).__name__}: {error}"
                    raise PreparationError(
                        f"{SOURCE}: the annotations of example {id} lack an answer ({what})"
                    ) from None
            context.progress(f"{number * BLOCK:,} lines")
    submission = pd.DataFrame(gold, columns=["example_id", "PredictionString"])
    write_csv(submission, private / "gold_submission.csv")
    write_csv(submission.assign(PredictionString=""), public / "sample_submission.csv")


def _blocks(path: Path) -> Iterator[pd.DataFrame]:
    """The lines, `BLOCK` at a time."""
    if not path.is_file():
        raise PreparationError(f"{path} is missing; JSON lines are expected there")
    try:
        with pd.read_json(path, lines=True, chunksize=BLOCK) as blocks:
            yield from blocks
    except ValueError as error:
        raise PreparationError(f"{path}: JSON lines are expected there: {error}") from None


def _short(annotation: Mapping[str, Any]) -> str:
    """YES or NO, else the first of the short answers, else blank."""
    if annotation["yes_no_answer"] != "NONE":
        return str(annotation["yes_no_answer"])
    answers = annotation["short_answers"]
    return f"{answers[0]['start_token']}:{answers[0]['end_token']}" if answers else ""


def _long(annotation: Mapping[str, Any]) -> str:
    answer = annotation["long_answer"]
    return "" if answer["start_token"] == -1 else f"{answer['start_token']}:{answer['end_token']}"
