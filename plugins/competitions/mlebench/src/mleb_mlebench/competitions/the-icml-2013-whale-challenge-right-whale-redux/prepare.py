"""Clips of whole days become train or test; the label stands in their names."""

import re

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, open_archive, write_csv, write_zip

CLIP = re.compile(r"train2/(?P<day>[^/_]+)_(?P<rest>[^/]*)TRAIN(?P<number>\d+)(?P<label>_[^/.]*)?\.aif")


def prepare(context: Preparation) -> None:
    """Train: the two earliest of the four days; test: the two latest. Hidden: the test labels.

    A name is DAY_TIME_OFFSET_TRAIN<number>_<label>.aif. Each part is sorted by name and numbered anew from 0; test
    names end in Test<number>.aif, without a label.
    """
    archive = open_archive(context.raw / "train2.zip", context.work)
    names = sorted(name for name in archive.names() if name.startswith("train2/") and name.endswith(".aif"))
    clips = [found for name in names if (found := CLIP.fullmatch(name))]
    if len(clips) < len(names):
        odd = next(name for name in names if not CLIP.fullmatch(name))
        raise PreparationError(f"train2.zip: {odd!r} is not named DAY_TIME_OFFSET_TRAINn_LABEL.aif")
    days = sorted({clip["day"] for clip in clips})
    if len(days) != 4:
        raise PreparationError(f"train2.zip: clips of four days are expected, it has {len(days)}: {', '.join(days)}")
    train = [clip for clip in clips if clip["day"] in days[:2]]
    test = [clip for clip in clips if clip["day"] in days[2:]]

    names = [f"{c['day']}_{c['rest']}TRAIN{n}{c['label'] or ''}.aif" for n, c in enumerate(train)]
    write_zip(
        context.public / "train2.zip",
        ((f"train2/{name}", archive.read(clip[0])) for name, clip in zip(names, train, strict=True)),
    )
    names = [f"{c['day']}_{c['rest']}Test{n}.aif" for n, c in enumerate(test)]
    write_zip(
        context.public / "test2.zip",
        ((f"test2/{name}", archive.read(clip[0])) for name, clip in zip(names, test, strict=True)),
    )
    labels = [int(clip["label"] == "_1") for clip in test]
    write_csv(pd.DataFrame({"clip": names, "probability": labels}), context.private / "test.csv")
    write_csv(pd.DataFrame({"clip": names, "probability": 0}), context.public / "sampleSubmission.csv")
