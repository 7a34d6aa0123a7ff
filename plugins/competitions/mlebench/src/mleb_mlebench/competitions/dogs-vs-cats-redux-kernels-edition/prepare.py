"""The recipe splits the photographs at random, a tenth for test; here they get new names and are laid out.

public/train, train.zip        cat.0.jpg, cat.1.jpg, ..., dog.0.jpg, ... counted by class in the order of the split
public/test, test.zip          1.jpg, 2.jpg, ... in the order of the split
public/sample_submission.csv   label 0.5 throughout
private/answers.csv            id, label: 1 for a dog
"""

from itertools import count

import pandas as pd

from mleb_core.prepare import Preparation, open_archive, write_csv, write_zip


def prepare(context: Preparation) -> None:
    recipe = context.recipe()
    number = {"cat": count(), "dog": count()}
    train, test = [], []  # old and new names, without suffix
    for old in recipe.train["name"]:
        label = "cat" if "cat" in old else "dog"
        train.append((old, f"{label}.{next(number[label])}"))
    for id, old in enumerate(recipe.test["name"], 1):
        test.append((old, str(id)))

    archive = open_archive(context.raw / "train.zip", context.work)
    for part, names in (("train", train), ("test", test)):
        context.progress(f"laying out {part}")
        folder = context.public / part
        archive.extract([(f"train/{old}.jpg", f"{folder}/{new}.jpg") for old, new in names])
        members = [(f"{new}.jpg", folder / f"{new}.jpg") for _, new in names]
        write_zip(context.public / f"{part}.zip", members, compress=True)

    labels = ["dog" in old for old in recipe.test["name"]]
    answers = pd.DataFrame({"id": range(1, len(test) + 1), "label": labels}).astype("int64")
    write_csv(answers, context.private / "answers.csv")
    write_csv(answers.assign(label=0.5), context.public / "sample_submission.csv")
