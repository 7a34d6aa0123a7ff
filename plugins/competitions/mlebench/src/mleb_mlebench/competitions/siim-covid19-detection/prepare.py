"""The recipe, which splits the studies, and what follows them.

public/train, test            the studies' folders
public/sample_submission.csv  negative for every study, none for every image
private/test.csv              id, PredictionString: a row for each test study, then for each of their images
"""

import numpy as np
import pandas as pd

from mleb_core.prepare import Preparation, copy_files, files_below, need_columns, write_csv

LABELS = {
    "Negative for Pneumonia": "negative",
    "Typical Appearance": "typical",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}


def prepare(context: Preparation) -> None:
    recipe = context.recipe()
    studies, images = recipe.test, recipe.table("images")
    need_columns(studies, LABELS, "train_study_level.csv")
    need_columns(images, ["id", "label"], "train_image_level.csv")
    images = images[images["study"].isin(studies["id"])].sort_values("id")

    columns = [name for name in studies.columns if name in LABELS]
    label = np.array([LABELS[name] for name in columns])[studies[columns].to_numpy().argmax(axis=1)]
    truth = [f"{name} 1 0 0 1 1" for name in label]
    ids = [*studies["id"], *images["id"]]
    answers = pd.DataFrame({"id": ids, "PredictionString": [*truth, *images["label"]]})
    write_csv(answers, context.private / "test.csv")
    plain = ["negative 1 0 0 1 1"] * len(studies) + ["none 1 0 0 1 1"] * len(images)
    write_csv(answers.assign(PredictionString=plain), context.public / "sample_submission.csv")

    test = set(studies["id"].str.removesuffix("_study"))
    train = set(recipe.train["id"].str.removesuffix("_study"))
    pairs = []
    for name in files_below(context.raw / "train"):
        study = name.partition("/")[0]
        if study in test or study in train:
            goal = "test" if study in test else "train"
            pairs.append((f"{context.raw}/train/{name}", f"{context.public}/{goal}/{name}"))
    context.progress(f"laying out {len(pairs):,} files")
    copy_files(pairs, own=context.own_raw)
