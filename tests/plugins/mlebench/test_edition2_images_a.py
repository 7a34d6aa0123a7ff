"""Edition 2 of competitions on pictures: each fault that it says it repairs is gone."""

import json
import tarfile

import pandas as pd
import pytest

from mleb_mlebench.tfrecord import read_records, unpack_example


def files_of(folder):
    """Bytes by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_grades_of_retinas_have_a_scale(made):
    published, first = made("aptos2019-blindness-detection", 1)
    data, grade = made("aptos2019-blindness-detection")
    answers = pd.read_csv(data.private / "test.csv")
    assert grade(answers).score == 1
    assert "is above 4" in grade(answers.assign(diagnosis=5)).reason
    assert "is below 0" in grade(answers.assign(diagnosis=-1)).reason

    # With the grades 2 and 3 on neither side, places close up: 4 is two steps from 0, or four.
    truth = answers["diagnosis"].where(answers["diagnosis"] < 2, 4)
    guess = answers.assign(diagnosis=truth.where(answers.index % 3 != 0, 1))
    for folder in (published.private, data.private):
        answers.assign(diagnosis=truth).to_csv(folder / "test.csv", index=False)
    by_place, by_value = (_kappa(truth, guess["diagnosis"], scale) for scale in ([0, 1, 4], [0, 1, 2, 3, 4]))
    assert by_place != pytest.approx(by_value, abs=1e-3)
    assert first(guess).score == pytest.approx(by_place, abs=1e-5)
    assert grade(guess).score == pytest.approx(by_value, abs=1e-5)


def _kappa(truth, guess, scale):
    place = {label: number for number, label in enumerate(scale)}
    pairs = [(place[a], place[b]) for a, b in zip(truth, guess, strict=True)]
    observed = sum((a - b) ** 2 for a, b in pairs) / len(pairs)
    expected = sum((a - b) ** 2 for a, _ in pairs for _, b in pairs) / len(pairs) ** 2
    return 1 - observed / expected


def test_test_records_hold_no_labels(made):
    first, _ = made("cassava-leaf-disease-classification", 1)
    data, grade = made("cassava-leaf-disease-classification")
    answers = pd.read_csv(data.private / "test.csv")
    assert grade(answers).score == 1

    then, now = files_of(first.public), files_of(data.public)
    changed = {name for name in then if then[name] != now[name]}
    assert then.keys() == now.keys()
    assert changed == {name for name in now if name.startswith("test_tfrecords/")}
    label = answers.set_index("image_id")["label"]
    images = {}
    for name in changed:
        old, new = (
            [unpack_example(record) for record in read_records(folder / name)] for folder in (first.public, data.public)
        )
        assert [entry["target"] for entry in old] == [[label[entry["image_name"][0].decode()]] for entry in old]
        assert new == [{key: entry[key] for key in ("image", "image_name")} for entry in old]
        assert len(new) == int(name.removesuffix(".tfrec").split("-")[1])
        images |= {entry["image_name"][0].decode(): entry["image"][0] for entry in new}
    assert images.keys() == set(label.index)


@pytest.mark.parametrize("id", ["herbarium-2020-fgvc7", "herbarium-2021-fgvc8", "herbarium-2022-fgvc9"])
def test_categories_are_not_cut_to_whole_numbers(made, id):
    first, cut = made(id, 1)
    data, grade = made(id)
    assert {n: d for n, d in files_of(first.public).items() if n != "description.md"} == {
        n: d for n, d in files_of(data.public).items() if n != "description.md"
    }
    answers = pd.read_csv(data.private / "answers.csv")
    assert grade(answers).score == 1
    assert grade(answers.astype(float)).score == 1
    broken = answers.assign(Predicted=answers["Predicted"] + 0.75)
    assert cut(broken).score == 1
    assert "is not a whole number" in grade(broken).reason


def test_single_hotels_with_a_gap_are_read_as_ids(made):
    id = "hotel-id-2021-fgvc8"
    _, first = made(id, 1)
    data, grade = made(id)
    answers = pd.read_csv(data.private / "test.csv", dtype=str)[["image", "hotel_id"]]
    assert grade(answers).score == 1
    gap = answers.copy()
    gap.loc[0, "hotel_id"] = ""
    assert first(gap).score == 0
    assert grade(gap).score == pytest.approx(1 - 1 / len(gap), abs=1e-5)
    second = answers.assign(hotel_id="1 " + answers["hotel_id"])
    assert grade(second).score == first(second).score == 0.5
    for wrong in ("x", "35633.0", "1,2", "1  2", " 1"):
        worse = answers.copy()
        worse.loc[3, "hotel_id"] = wrong
        assert first(worse).valid
        reason = grade(worse).reason
        assert reason.startswith(f"row 4 (image '{worse['image'][3]}'), column 'hotel_id': ")
        assert "does not match" in reason


def test_attributes_of_no_test_image_count(made):
    id = "imet-2020-fgvc7"
    _, first = made(id, 1)
    data, grade = made(id)
    answers = pd.read_csv(data.private / "answers.csv", dtype=str, keep_default_na=False)
    assert grade(answers).score == 1
    pairs = answers["attribute_ids"].str.split().map(len).sum()
    more = answers.assign(attribute_ids=answers["attribute_ids"] + " 99999")
    assert first(more).score == 1
    assert grade(more).score == pytest.approx(2 * pairs / (2 * pairs + len(answers)), abs=1e-5)

    single = answers.assign(attribute_ids=answers["attribute_ids"].str.split().str[0])
    assert "numbers throughout" in first(single).reason
    assert grade(single).score == pytest.approx(2 * len(answers) / (len(answers) + pairs), abs=1e-5)
    assert grade(answers.assign(attribute_ids="")).score == 0
    assert "does not match" in grade(answers.assign(attribute_ids="1,2")).reason


def test_the_original_metadata_tell_nothing_of_test_photographs(made):
    id = "inaturalist-2019-fgvc6"
    first, _ = made(id, 1)
    data, grade = made(id)
    raw = data.root.parent.parent / "raw" / id
    answers = pd.read_csv(data.private / "answers.csv", dtype=str)
    assert grade(answers).score == 0

    test = json.loads((data.public / "test2019.json").read_text())
    assert "annotations" not in test
    assert [str(image["id"]) for image in test["images"]] == answers["id"].tolist()
    original = json.loads((raw / "train2019.json").read_text())
    old_names = {image["file_name"].rpartition("/")[2] for image in original["images"]}
    new_names = {image["file_name"].rpartition("/")[2] for image in test["images"]}
    assert not old_names & new_names
    by_id = {entry["image_id"]: entry["category_id"] for entry in original["annotations"]}
    category = dict(zip(answers["id"].astype(int), answers["predicted"].astype(int), strict=True))
    old_test = json.loads((first.public / "test2019.json").read_text())
    assert [by_id[image["id"]] for image in old_test["images"]] == list(category.values())
    assert [by_id.get(number) for number in category] != list(category.values())
    assert list(category) == list(range(len(category)))

    # Each named file is in an archive under that name, and holds what it held.
    published = _members(raw / "train_val2019.tar.gz")
    train, val = (json.loads((data.public / f"{part}2019.json").read_text()) for part in ("train", "val"))
    packed = _members(data.public / "train_val2019.tar.gz")
    assert packed == {image["file_name"]: published[image["file_name"]] for image in train["images"] + val["images"]}
    before = [published[f"train_val2019/{name}"] for name in _old_places(original, old_test)]
    hidden = _members(data.public / "test2019.tar.gz")
    assert [hidden[image["file_name"]] for image in test["images"]] == before


def _members(path):
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def _old_places(original, old_test):
    place = {image["id"]: image["file_name"].removeprefix("train_val2019/") for image in original["images"]}
    return [place[image["id"]] for image in old_test["images"]]
