"""Metadata in the COCO form: pairing, splitting category by category, writing."""

import json
from pathlib import Path

import pytest
from sklearn.model_selection import train_test_split

from mleb_core.errors import PreparationError
from mleb_mlebench.coco import Pair, read_metadata, split_by_category, with_pairs, write_metadata


def pairs_of(*categories: int) -> list[Pair]:
    return [
        Pair({"id": i, "file_name": f"{i}.jpg"}, {"image_id": i, "category_id": c}) for i, c in enumerate(categories)
    ]


def ids(pairs: list[Pair]) -> list[int]:
    return [pair.image["id"] for pair in pairs]


def test_categories_stand_in_order_of_appearance_and_are_split_by_themselves() -> None:
    pairs = pairs_of(*[7, 3] * 10, *[7] * 3)
    train, test = split_by_category(pairs, 0.2, small=False)
    of_7, of_3 = ([i for i, pair in enumerate(pairs) if pair.category == c] for c in (7, 3))
    drawn = [train_test_split(group, test_size=0.2, random_state=0) for group in (of_7, of_3)]
    assert ids(train) == drawn[0][0] + drawn[1][0]
    assert sorted(ids(test)) == sorted(drawn[0][1] + drawn[1][1])
    assert len(test) == 3 + 2


@pytest.mark.parametrize(("count", "in_test"), [(1, []), (2, [1]), (3, [2]), (4, [3])])
def test_small_categories_give_their_last_image(count: int, in_test: list[int]) -> None:
    train, test = split_by_category(pairs_of(*[5] * count), 0.2, small=True)
    assert ids(test) == in_test
    assert sorted(ids(train) + ids(test)) == list(range(count))


def test_a_single_image_cannot_be_split() -> None:
    with pytest.raises(PreparationError, match="1 images of a category cannot be split"):
        split_by_category(pairs_of(5), 0.2, small=False)


def test_metadata_come_back_in_the_published_form(tmp_path: Path) -> None:
    pairs = pairs_of(2, 1)
    metadata = {"info": {"of": "é"}, **with_pairs({}, pairs)}
    write_metadata(tmp_path / "folder" / "a.json", metadata)
    written = (tmp_path / "folder" / "a.json").read_bytes()
    assert written == json.dumps(metadata, indent=4, sort_keys=True).encode("ascii")
    assert read_metadata(tmp_path / "folder" / "a.json") == (metadata, pairs)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is broken or cut short"),
        ("[]", "parallel lists of images and annotations are expected"),
        ('{"images": []}', "KeyError: 'annotations'"),
        ('{"images": [], "annotations": [{}]}', "parallel lists"),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "category_id": 1}]}',
            "another image",
        ),
        ('{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 1}]}', "KeyError: 'category_id'"),
        (
            '{"images": [{"id": 1, "file_name": "../a"}], "annotations": [{"image_id": 1, "category_id": 1}]}',
            "file_name '../a' leaves its folder",
        ),
    ],
)
def test_broken_metadata_are_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(text)
    with pytest.raises(PreparationError) as error:
        read_metadata(path)
    assert str(error.value).startswith(str(path))
    assert problem in str(error.value)
