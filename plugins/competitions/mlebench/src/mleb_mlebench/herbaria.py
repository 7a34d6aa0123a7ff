"""Preparation of the herbaria of 2020 and 2021, which differ only in where their files lie."""

import pandas as pd

from mleb_core.prepare import Preparation, copy_files, write_csv
from mleb_mlebench.coco import read_metadata, split_by_category, with_pairs, write_metadata

__all__ = ["prepare_herbarium"]


def prepare_herbarium(context: Preparation, folder: str = "", *, encoding: str = "utf-8") -> None:
    """Split train/ below `folder`, in raw and public alike, category by category.

    Args:
        context: of the competition.
        folder: where train/ and test/ lie; the top if empty.
        encoding: of the raw metadata.json.

    Raises:
        PreparationError: metadata or an image is missing or not what is expected.
    """
    raw = context.raw / folder / "train"
    train_folder, test_folder = context.public / folder / "train", context.public / folder / "test"
    metadata, pairs = read_metadata(raw / "metadata.json", encoding=encoding)
    train, test = split_by_category(pairs, 0.2, small=True)

    context.progress("writing metadata")
    write_metadata(train_folder / "metadata.json", with_pairs(metadata, train))
    images = [
        {**pair.image, "id": str(k), "file_name": f"images/{k // 1000:03d}/{k}.jpg"} for k, pair in enumerate(test)
    ]
    public = {"images": images, "info": metadata["info"], "licenses": metadata["licenses"]}
    write_metadata(test_folder / "metadata.json", public)

    answers = pd.DataFrame({"Id": range(len(test)), "Predicted": [pair.category for pair in test]})
    write_csv(answers, context.private / "answers.csv")
    write_csv(answers.assign(Predicted=0), context.public / "sample_submission.csv")

    old = [pair.image["file_name"] for pair in (*train, *test)]
    new = [f"{train_folder}/{pair.image['file_name']}" for pair in train]
    new += [f"{test_folder}/{image['file_name']}" for image in images]
    context.progress(f"laying out {len(old):,} images")
    copy_files([(f"{raw}/{source}", target) for source, target in zip(old, new, strict=True)], own=context.own_raw)
