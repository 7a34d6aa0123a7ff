"""Each category of train2019.json is split by itself: 12 % for test, one image of two to four, none of a single one.

public/train2019.json, train_val2019.tar.gz   the train images
public/test2019.json, test2019.tar.gz         the test images, shuffled; without annotations and categories
public/val2019.json                           as it was
public/kaggle_sample_submission.csv           category 654 throughout
private/answers.csv                           id, predicted: the category_id

Edition 2 gives test images new ids and names, adds the images of val2019.json to the archive, and names members as the
metadata name files.
"""

import json
from pathlib import Path

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, open_archive, write_archive, write_csv
from mleb_mlebench.coco import read_metadata, split_by_category, with_pairs, write_metadata

TOP = "train_val2019/"


def prepare(context: Preparation) -> None:
    context.recipe()
    metadata, pairs = read_metadata(context.raw / "train2019.json")
    train, test = split_by_category(pairs, 0.12, small=True)
    again = context.edition > 1

    images = []
    for k, (image, _) in enumerate(test):
        name = f"{k}.jpg" if again else image["file_name"].rpartition("/")[2]
        images.append({**image, "file_name": f"test2019/{name}"} | ({"id": k} if again else {}))
    write_metadata(context.public / "train2019.json", with_pairs(metadata, train))
    public = {key: value for key, value in metadata.items() if key not in ("categories", "annotations")}
    write_metadata(context.public / "test2019.json", {**public, "images": images})

    ids = [image["id"] for image in images]
    answers = pd.DataFrame({"id": ids, "predicted": [pair.category for pair in test]})
    write_csv(answers, context.private / "answers.csv")
    write_csv(answers.assign(predicted=654), context.public / "kaggle_sample_submission.csv")

    of_train = [pair.image["file_name"] for pair in train]
    if again:
        of_train += _validation_files(context.raw / "val2019.json")
    of_test = [pair.image["file_name"] for pair in test]
    names = [image["file_name"] for image in images]
    if not again:
        names = [name.removeprefix("test2019/") for name in names]
    context.progress("unpacking train_val2019.tar.gz")
    archive = open_archive(context.raw / "train_val2019.tar.gz", context.work)
    for target, old, new in (
        ("train_val2019", of_train, of_train if again else [name.removeprefix(TOP) for name in of_train]),
        ("test2019", of_test, names),
    ):
        context.progress(f"packing {len(old):,} images into {target}.tar.gz")
        plain = context.work / f"{target}.tar"  # as published: not compressed, in spite of the name
        write_archive(plain, ((name, archive.read(source)) for source, name in zip(old, new, strict=True)))
        plain.rename(context.public / f"{target}.tar.gz")


def _validation_files(path: Path) -> list[str]:
    try:
        return [image["file_name"] for image in json.loads(path.read_text(encoding="utf-8"))["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise PreparationError(f"{path}: a list of images is expected ({type(error).__name__}: {error})") from None
