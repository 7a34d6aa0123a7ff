"""Molecules as JSON lines: a tenth of them, of those that pass the noise filter, is test."""

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, need_columns, read_csv, write_csv

VALUES = ("reactivity", "deg_Mg_pH10", "deg_pH10", "deg_Mg_50C", "deg_50C")


def prepare(context: Preparation) -> None:
    """Write train and test molecules in file order; hidden: all columns of train.json that the raw test.json lacks."""
    molecules = _lines(context, "train.json")
    need_columns(molecules, ["index", "id", "SN_filter", "seq_length", "seq_scored", *VALUES], "train.json")
    public = list(_lines(context, "test.json").columns)
    need_columns(molecules, public, "train.json")
    sample_columns = list(read_csv(context.raw / "sample_submission.csv").columns)

    clean = molecules[molecules["SN_filter"] > 0]
    drawn = clean.sample(n=int(0.1 * len(molecules)), random_state=0).index
    is_test = molecules.index.isin(drawn)
    train, test = (part.assign(index=range(len(part))) for part in (molecules[~is_test], molecules[is_test]))
    train.to_json(context.public / "train.json", orient="records", lines=True)
    test[public].to_json(context.public / "test.json", orient="records", lines=True)

    answers = _positions(test)
    write_csv(answers, context.private / "test.csv", float_format="%.10f")
    sample = answers[["id_seqpos"]].assign(**dict.fromkeys(VALUES, 0.0))
    write_csv(sample, context.public / "sample_submission.csv", columns=sample_columns, float_format="%.10f")


def _positions(molecules: pd.DataFrame) -> pd.DataFrame:
    """One row for each position of each molecule: the values where measured (`keep`), then 0."""
    length, scored = molecules["seq_length"].to_numpy(), molecules["seq_scored"].to_numpy()
    place = np.concatenate([np.arange(n) for n in length])
    keep = place < np.repeat(scored, length)
    names = np.repeat(molecules["id"].to_numpy(dtype=object), length)
    answers = pd.DataFrame({"id_seqpos": [f"{name}_{at}" for name, at in zip(names, place, strict=True)]})
    for column in VALUES:
        measured = np.zeros(len(place))
        measured[keep] = np.concatenate([cell[:n] for cell, n in zip(molecules[column], scored, strict=True)])
        answers[column] = measured
    return answers.assign(keep=keep)


def _lines(context: Preparation, name: str) -> pd.DataFrame:
    path = context.raw / name
    if not path.is_file():
        raise PreparationError(f"{path} is missing; JSON lines are expected there")
    try:
        return pd.read_json(path, lines=True)
    except ValueError as error:
        raise PreparationError(f"{path} cannot be read as JSON lines: {error}") from None
