"""Requests in JSON become train or test."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, random_split, write_csv, write_zip

ID, TARGET = "request_id", "requester_received_pizza"
LEAK = "giver_username_if_known"


def prepare(context: Preparation) -> None:
    """Split the requests of train.json at random, with the share that the original test set had.

    Test requests keep only the fields that the original test requests have. Hidden: the outcome of the test requests.
    Edition 2 leaves out, everywhere, the field that gives the outcome away.
    """
    requests, original = (_requests(context.raw / f"{name}.json") for name in ("train", "test"))
    fields = list(original[0])
    if TARGET in fields or not {ID, TARGET} <= set(requests[0]):
        raise PreparationError(f"train.json must have the fields {ID} and {TARGET}, test.json must not have {TARGET}")
    train, test = random_split(len(requests), len(original) / (len(requests) + len(original)))
    hidden = [requests[row] for row in test]
    public = {
        "train": [requests[row] for row in train],
        "test": [{field: request[field] for field in fields} for request in hidden],
    }
    for name, part in public.items():
        if context.edition >= 2:
            for request in part:
                request.pop(LEAK, None)
        text = json.dumps(part, indent=4)
        (context.public / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
        write_zip(context.public / f"{name}.zip", [(f"{name}.json", context.public / f"{name}.json")], compress=True)
    answers = pd.DataFrame({ID: [r[ID] for r in hidden], TARGET: [int(r[TARGET]) for r in hidden]})
    write_csv(answers, context.private / "test.csv")
    write_csv(answers.assign(**{TARGET: 0}), context.public / "sampleSubmission.csv")


def _requests(path: Path) -> Sequence[dict[str, Any]]:
    """The requests in a file, in order."""
    try:
        requests = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PreparationError(f"{path} is missing; a list of requests is expected there") from None
    except ValueError as error:
        raise PreparationError(f"{path} is no JSON ({error}); get it again") from None
    if not isinstance(requests, list) or not requests or not all(isinstance(request, dict) for request in requests):
        raise PreparationError(f"{path}: a list of requests is expected")
    return requests
