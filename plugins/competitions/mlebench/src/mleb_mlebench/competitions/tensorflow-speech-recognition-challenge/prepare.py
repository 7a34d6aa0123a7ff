"""Edition 1 is the recipe; edition 2 splits by speaker and keeps to the twelve labels of the task."""

import re

import numpy as np
import pandas as pd

from mleb_core.prepare import Preparation, grouped_split, open_archive, write_csv

CLIP = re.compile(r"train/audio/(?P<folder>[^/]+)/(?P<name>(?P<speaker>[^/]+?)(_nohash_[^/]*)?\.wav)")
WORDS = {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"}
NOISE = "_background_noise_"
NOTES = ("train/LICENSE", "train/README.md", f"train/audio/{NOISE}/README.md")
LISTS = ("train/validation_list.txt", "train/testing_list.txt")


def prepare(context: Preparation) -> None:
    """Split the labelled clips; hidden: the words of the test clips.

    Edition 1: at random, the folder is the label. Edition 2: a tenth of the speakers is test, their clips in shuffled
    order; noise is `silence`, a word that is not asked for `unknown`. A recording of noise counts as a speaker.
    """
    if context.edition == 1:
        context.recipe()
        return
    archive = open_archive(context.raw / "train.7z", context.work)
    names = archive.names()
    clips = [found for name in sorted(names) if (found := CLIP.fullmatch(name))]
    train, test = grouped_split([clip["speaker"] for clip in clips], 0.1)
    hidden = [clips[row] for row in np.random.RandomState(0).permutation(test)]
    shown = [clips[row][0] for row in sorted(train)]
    numbered = [f"clip_{number:08d}.wav" for number in range(len(hidden))]
    pairs = [(name, f"{context.public}/{name}") for name in (*shown, *(note for note in NOTES if note in names))]
    pairs += [(clip[0], f"{context.public}/test/audio/{name}") for clip, name in zip(hidden, numbered, strict=True)]
    archive.extract(pairs)

    answers = pd.DataFrame({"fname": numbered, "label": [_label(clip["folder"]) for clip in hidden]})
    write_csv(answers, context.private / "test.csv")
    write_csv(answers.assign(label="silence"), context.public / "sample_submission.csv")
    known = {name.removeprefix("train/audio/") for name in shown}
    for name in LISTS:  # a line that names a test clip would say what it is
        if name in names:
            lines = archive.read(name).decode().splitlines()
            text = "".join(f"{line}\n" for line in lines if line in known)
            (context.public / name).write_text(text, encoding="utf-8", newline="\n")


def _label(folder: str) -> str:
    return folder if folder in WORDS else "silence" if folder == NOISE else "unknown"
