"""COCO-like JSON, split by camera location so that test has about 22 % of the images."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, random_split, write_csv

TRAIN, TEST = "iwildcam2020_train_annotations.json", "iwildcam2020_test_information.json"
SHARE = 0.22
Record = dict[str, Any]


def prepare(context: Preparation) -> None:
    """Split the training images by location and write both parts, the original order kept.

    Written: the annotations of train; images alone of test; the answers, in the order of the annotations; a sample
    submission of random classes; the images. From edition 2 on the categories' counts are those of train.
    """
    context.recipe()
    raw, original_test = _load(context.raw / TRAIN), _load(context.raw / TEST)
    locations = test_locations([image["location"] for image in raw["images"]])
    images: dict[str, list[Record]] = {"train": [], "test": []}
    for image in raw["images"]:
        images["test" if image["location"] in locations else "train"].append(image)
    test_ids = {image["id"] for image in images["test"]}
    annotations = [a for a in raw["annotations"] if a["image_id"] not in test_ids]
    answers = [a for a in raw["annotations"] if a["image_id"] in test_ids]

    categories, test_categories = raw["categories"], original_test["categories"]
    if context.edition >= 2:
        categories, test_categories = (_recounted(some, annotations) for some in (categories, test_categories))
    train = {"annotations": annotations, "images": images["train"], "categories": categories, "info": raw["info"]}
    _dump(train, context.public / TRAIN)
    test = {"images": images["test"], "categories": test_categories, "info": original_test["info"]}
    _dump(test, context.public / TEST)

    table = pd.DataFrame({"Id": [a["image_id"] for a in answers], "Category": [a["category_id"] for a in answers]})
    write_csv(table, context.private / "answers.csv")
    classes = np.random.RandomState(0).randint(0, 676, size=len(table))
    write_csv(table.assign(Category=classes), context.public / "sample_submission.csv")

    context.progress("laying out images")
    for part, members in images.items():
        pairs = [(f"{context.raw}/train/{m['id']}.jpg", f"{context.public}/{part}/{m['id']}.jpg") for m in members]
        copy_files(pairs, own=context.own_raw)


def test_locations(locations: list[Any]) -> set[Any]:
    """The locations that are test: a random 22 % of them, then the last ones moved until r crosses 22 %.

    r = t / (n + t), with n images in all and t at test locations. The test images counting twice below is as
    published: their share t / n ends at up to 28 %.

    Args:
        locations: of each image.
    """
    counts = Counter(locations)  # by first appearance
    distinct = list(counts)
    parts = random_split(len(distinct), SHARE, what="locations")
    train, test = ([distinct[i] for i in part] for part in parts)
    size = sum(counts[location] for location in test)

    def ratio() -> float:
        return size / (len(locations) + size)

    while ratio() < SHARE and train:
        test.append(train.pop())
        size += counts[test[-1]]
    while ratio() > SHARE:
        train.append(test.pop())
        size -= counts[train[-1]]
    if not train or not test:
        raise PreparationError(f"{TRAIN}: the images of {len(distinct)} locations cannot be split by location")
    return set(test)


def _recounted(categories: list[Record], annotations: list[Record]) -> list[Record]:
    """The categories with the number of these annotations for `count`."""
    counts = Counter(annotation["category_id"] for annotation in annotations)
    return [{**category, "count": counts[category["id"]]} for category in categories]


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise PreparationError(f"{path} is missing; a JSON file is expected there") from None
    except ValueError as error:
        raise PreparationError(f"{path} is no JSON object: {error}") from None


def _dump(content: dict[str, Any], path: Path) -> None:
    with path.open("x", encoding="utf-8") as stream:
        json.dump(content, stream)
