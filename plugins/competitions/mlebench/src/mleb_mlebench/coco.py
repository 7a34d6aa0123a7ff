"""Splitting image metadata in the COCO form, category by category.

The metadata is a JSON object with parallel lists `annotations` and `images`: the i-th annotation, which has a
category_id, belongs to the i-th image.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from mleb_core.errors import PreparationError
from mleb_core.prepare import Parts, random_split

__all__ = ["Pair", "read_metadata", "split_by_category", "with_pairs", "write_metadata"]

Record = dict[str, Any]


class Pair(NamedTuple):
    """An image and what is known about it."""

    image: Record
    annotation: Record

    @property
    def category(self) -> int:
        """Its category_id."""
        return int(self.annotation["category_id"])


def read_metadata(path: Path, *, id: str = "id", encoding: str = "utf-8") -> tuple[Record, list[Pair]]:
    """The whole object, and its images with their annotations.

    Args:
        path: the JSON file.
        id: key of an image's id, which its annotation has as image_id.
        encoding: of the file.

    Raises:
        PreparationError: the file is missing or not what the module describes, or a file_name leaves its folder.
    """
    try:
        metadata = json.loads(path.read_text(encoding=encoding))
    except FileNotFoundError:
        raise PreparationError(f"{path} is missing; JSON metadata are expected there") from None
    except ValueError as error:
        raise PreparationError(f"{path} is broken or cut short ({error}); get it again") from None
    try:
        pairs = [Pair(*both) for both in zip(metadata["images"], metadata["annotations"], strict=True)]
        for number, (image, annotation) in enumerate(pairs):
            if image[id] != annotation["image_id"]:
                raise PreparationError(f"{path}: annotation {number} belongs to another image than image {number}")
            _ = annotation["category_id"]
            if image["file_name"].startswith("/") or ".." in image["file_name"].split("/"):
                raise PreparationError(f"{path}: image {number}: file_name {image['file_name']!r} leaves its folder")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PreparationError(
            f"{path}: parallel lists of images and annotations are expected ({type(error).__name__}: {error})"
        ) from None
    return metadata, pairs


def split_by_category(
    pairs: Iterable[Pair], share: float, *, small: bool, seed: int = 0
) -> tuple[list[Pair], list[Pair]]:
    """Train and test: each category is split by itself.

    Categories stand in the order of their first appearance, within a part as `random_split` gives them; test is then
    shuffled by Python's `random.Random(seed)`.

    Args:
        pairs: the images.
        share: share of test in a category, rounded up.
        small: categories with fewer than five images are not drawn: the last image is test where there are two or
            more, the only one is train.
        seed: of both shuffles.

    Raises:
        PreparationError: a category has a single image and `small` is off.
    """
    groups: dict[int, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.category, []).append(pair)

    @cache  # the draw depends on the number alone, and there are many thousand categories
    def parts(count: int) -> Parts:
        return random_split(count, share, seed=seed, what="images of a category")

    train: list[Pair] = []
    test: list[Pair] = []
    for group in groups.values():
        if small and len(group) < 5:
            train += group[: max(1, len(group) - 1)]
            test += group[max(1, len(group) - 1) :]
            continue
        drawn = parts(len(group))
        train += [group[i] for i in drawn.train]
        test += [group[i] for i in drawn.test]
    Random(seed).shuffle(test)
    return train, test


def with_pairs(metadata: Mapping[str, Any], pairs: Iterable[Pair]) -> Record:
    """The same object with other images and annotations."""
    pairs = list(pairs)
    return {**metadata, "images": [p.image for p in pairs], "annotations": [p.annotation for p in pairs]}


def write_metadata(path: Path, metadata: object) -> None:
    """Write JSON as the published preparation does: keys sorted, indented by 4, ASCII only, no newline at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="ascii") as stream:
        json.dump(metadata, stream, indent=4, sort_keys=True)
