"""A tenth of the question-answer pairs is hidden: their 30 ratings."""

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, grouped_split, need_columns, random_split, read_csv, write_csv

TEXTS = 11
"""The first columns, which are public; all after them are targets."""
RARE = "question_type_spelling"


def prepare(context: Preparation) -> None:
    """Split train.csv at random; edition 2 by question (`url`), so that its answers are on one side.

    Nearly all questions are rated 0 for `RARE`. Where all of test are alike, its first row (edition 2: question) takes
    the place of the first in train that is not 0, for a constant target has no correlation.
    """
    frame = read_csv(context.raw / "train.csv")
    need_columns(frame, ["qa_id", "url", RARE], "train.csv")
    targets = list(frame.columns[TEXTS:])
    if context.edition == 1:
        train, test = random_split(len(frame), 0.1)
        units = np.arange(len(frame))
    else:
        train, test = grouped_split(frame["url"], 0.1)
        units, _ = pd.factorize(frame["url"])
    rare = frame[RARE].to_numpy()
    if len(np.unique(rare[test])) == 1 and rare[train].any():
        old, new = units[test[0]], units[train[np.flatnonzero(rare[train])[0]]]
        train, test = _exchanged(train, units, new, old), _exchanged(test, units, old, new)
    hidden = frame.iloc[test]
    if constant := [name for name in targets if hidden[name].nunique() < 2]:
        raise PreparationError(f"train.csv: {constant[0]} is the same in all test rows, so it cannot be scored")

    write_csv(frame, context.public / "train.csv", rows=train)
    write_csv(hidden, context.public / "test.csv", columns=list(frame.columns[:TEXTS]))
    write_csv(hidden, context.private / "test.csv", columns=["qa_id", *targets])
    ramp = np.linspace(0, 1, len(hidden))
    sample = pd.DataFrame({"qa_id": hidden["qa_id"].to_numpy(), **dict.fromkeys(targets, ramp)})
    write_csv(sample, context.public / "sample_submission.csv")


def _exchanged(
    positions: "np.ndarray[tuple[int], np.dtype[np.intp]]",
    units: "np.ndarray[tuple[int], np.dtype[np.intp]]",
    leaves: int,
    comes: int,
) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Row positions with the rows of one unit in place of another's."""
    place = int(np.argmax(units[positions] == leaves))
    rest = np.where(units[positions] == leaves, -1, positions)
    joined = np.concatenate([rest[:place], np.flatnonzero(units == comes), rest[place:]])
    return joined[joined >= 0]
