"""Each category is split by itself, a fifth for test; all images get new ids and places.

public/train_images/, train_metadata.json   train images, numbered within their category
public/test_images/, test_metadata.json     test images, shuffled and numbered; a bare list of images
public/sample_submission.csv                Predicted 42 throughout
private/answers.csv                         Id, Predicted: the category_id
"""

from collections import Counter

import pandas as pd

from mleb_core.prepare import Preparation, copy_files, write_csv
from mleb_mlebench.coco import Pair, read_metadata, split_by_category, with_pairs, write_metadata


def prepare(context: Preparation) -> None:
    metadata, pairs = read_metadata(context.raw / "train_metadata.json", id="image_id")
    old_train, old_test = split_by_category(pairs, 0.2, small=False)

    train: list[Pair] = []
    number: Counter[int] = Counter()
    for image, annotation in old_train:
        category = annotation["category_id"]
        number[category] += 1
        id = f"{category:05d}__{number[category]:03d}"
        place = f"{category // 100:03d}/{category % 100:02d}/{id}.jpg"
        train.append(Pair({**image, "image_id": id, "file_name": place}, {**annotation, "image_id": id}))
    test = [
        {**pair.image, "image_id": str(k), "file_name": f"{k // 1000:03d}/test-{k:06d}.jpg"}
        for k, pair in enumerate(old_test)
    ]
    context.progress("writing metadata")
    write_metadata(context.public / "train_metadata.json", with_pairs(metadata, train))
    write_metadata(context.public / "test_metadata.json", test)

    answers = pd.DataFrame({"Id": range(len(test)), "Predicted": [pair.category for pair in old_test]})
    write_csv(answers, context.private / "answers.csv")
    write_csv(answers.assign(Predicted=42), context.public / "sample_submission.csv")

    old = [pair.image["file_name"] for pair in (*old_train, *old_test)]
    new = [f"train_images/{pair.image['file_name']}" for pair in train]
    new += [f"test_images/{image['file_name']}" for image in test]
    context.progress(f"laying out {len(old):,} images")
    copy_files(
        [(f"{context.raw}/train_images/{a}", f"{context.public}/{b}") for a, b in zip(old, new, strict=True)],
        own=context.own_raw,
    )
