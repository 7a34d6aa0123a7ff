"""JSON lists inside 7z archives, split at random: a fifth is test."""

import json
from io import TextIOWrapper
from typing import Any

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, open_archive, random_split, write_archive, write_csv

Sample = dict[str, Any]


def prepare(context: Preparation) -> None:
    """Split the samples of train.json.

    Written: train.json.7z (train samples as they are), test.json.7z (test samples with the fields that the original
    test samples have, hence without is_iceberg), the answers, and a sample submission of 0.5 that lies in private and,
    packed, in public; from edition 2 on it lies in public as it is, too.
    """
    context.progress("reading train.json.7z")
    with open_archive(context.raw / "train.json.7z", context.work).open("data/processed/train.json") as stream:
        try:
            samples: list[Sample] = json.load(stream)
        except ValueError as error:
            raise PreparationError(f"train.json.7z: data/processed/train.json is no JSON: {error}") from None
    fields = list(_first_of_list(context, "test.json.7z", "data/processed/test.json"))
    for number, sample in enumerate(samples, 1):
        if absent := [name for name in ("is_iceberg", *fields) if name not in sample]:
            raise PreparationError(f"train.json.7z: sample {number} has no field {absent[0]!r}")

    parts = random_split(len(samples), 0.2, what="samples")
    test = [samples[i] for i in parts.test]
    _pack(context, "train.json", json.dumps([samples[i] for i in parts.train]))
    _pack(context, "test.json", json.dumps([{name: sample[name] for name in fields} for sample in test]))

    answers = pd.DataFrame({name: [sample[name] for sample in test] for name in ("id", "is_iceberg")})
    write_csv(answers, context.private / "test.csv")
    plain = (context.private if context.edition == 1 else context.public) / "sample_submission.csv"
    write_csv(answers.assign(is_iceberg=0.5), plain)
    _pack(context, "sample_submission.csv", plain.read_text(encoding="utf-8"))


def _first_of_list(context: Preparation, archive: str, member: str) -> Sample:
    """The first element of a JSON list, without reading the rest, which is gigabytes as Python objects."""
    decoder, text = json.JSONDecoder(), ""
    with TextIOWrapper(open_archive(context.raw / archive, context.work).open(member), encoding="utf-8") as stream:
        while piece := stream.read(1 << 20):
            text += piece
            try:
                first, _ = decoder.raw_decode(text.lstrip().removeprefix("[").lstrip())
            except json.JSONDecodeError:
                continue
            if isinstance(first, dict):
                return first
            break
    raise PreparationError(f"{archive}: {member} is no JSON list of samples")


def _pack(context: Preparation, name: str, text: str) -> None:
    context.progress(f"packing {name}.7z")
    write_archive(context.public / f"{name}.7z", [(name, text.encode())])
