"""Edition 2 of competitions on images: each fault that it says it repairs is gone."""

import hashlib
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from mleb_core.grading.grade import grade_submission
from mleb_core.prepare import extract_archive, prepare
from mleb_core.registry import Registry
from mleb_mlebench.tfrecord import read_records, unpack_example

CAMERAS = "iwildcam-2020-fgvc7"
RADIOGRAPHS = "ranzcr-clip-catheter-line-classification"
NECKS = "rsna-2022-cervical-spine-fracture-detection"
SKIN = "siim-isic-melanoma-classification"
TELLING = {"target", "diagnosis", "benign_malignant"}


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture
def raw(shared, tmp_path):
    """The golden raw data of a competition."""

    def unpack(id):
        folder = tmp_path / "raw" / id
        if not folder.is_dir():
            with zipfile.ZipFile(shared / "golden" / id / "raw.zip") as archive:
                archive.extractall(folder)
        return folder

    return unpack


@pytest.fixture
def made(registry, raw, tmp_path):
    """Prepares a competition from its golden raw data; gives its data and what grades a table."""

    def make(id, edition=2):
        competition = registry.competition(id).in_edition(edition)
        data = prepare(competition, tmp_path / "data", raw_dir=raw(id), verify=False)

        def grade(table):
            path = tmp_path / "submission.csv"
            table.to_csv(path, index=False)
            result = grade_submission(path, competition, tmp_path / "data", registry)
            assert result.grader_error is None
            return result

        assert grade(pd.read_csv(data.public / competition.spec.grading.sample, dtype=str, keep_default_na=False)).valid
        return data, grade

    return make


def files(folder):
    """Relative path to bytes of all files but the description."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "description.md"
    }


def test_the_archives_of_the_shrub_hold_its_photographs(made, shared, tmp_path):
    data, grade = made("invasive-species-monitoring")
    intended = json.loads((shared / "golden" / "invasive-species-monitoring" / "intended_7z.json").read_text())
    for name, members in intended.items():
        extract_archive(data.public / name, tmp_path / name)
        held = files(tmp_path / name)
        assert {member: hashlib.sha256(content).hexdigest() for member, content in held.items()} == members
    assert grade(pd.read_csv(data.private / "answers.csv")).score == 1
    assert (data.public / "sample_submission.csv").is_file()


def test_the_sample_does_not_number_the_original_rows(made):
    first, _ = made("iwildcam-2019-fgvc6", 1)
    data, grade = made("iwildcam-2019-fgvc6")
    assert pd.read_csv(first.public / "sample_submission.csv").columns[0] == "Unnamed: 0"
    assert list(pd.read_csv(data.public / "sample_submission.csv").columns) == ["Id", "Category"]
    before, now = files(first.prepared), files(data.prepared)
    del before["public/sample_submission.csv"], now["public/sample_submission.csv"]
    assert now == before
    assert grade(pd.read_csv(data.private / "answers.csv")).score == 1


def test_counts_by_category_are_those_of_train(made):
    names = ("iwildcam2020_train_annotations.json", "iwildcam2020_test_information.json")
    first, _ = made(CAMERAS, 1)
    data, grade = made(CAMERAS)
    train, test = (json.loads((data.public / name).read_text()) for name in names)
    found = pd.Series([a["category_id"] for a in train["annotations"]]).value_counts()
    for document in (train, test):
        assert {c["id"]: c["count"] for c in document["categories"] if c["count"]} == found.to_dict()
    answers = pd.read_csv(data.private / "answers.csv")
    published = json.loads((first.public / names[0]).read_text())["categories"]
    assert sum(c["count"] for c in published) == sum(found) + len(answers)
    before, now = files(first.prepared), files(data.prepared)
    assert {name for name in before | now if before.get(name) != now.get(name)} == {f"public/{n}" for n in names}
    assert not any({"annotations", "category_id"} & set(image) for image in test["images"])
    assert grade(answers).score == 1


def test_diseases_of_the_leaves_are_scored_image_by_image(made):
    first, grade_first = made("plant-pathology-2021-fgvc8", 1)
    data, grade = made("plant-pathology-2021-fgvc8")
    assert files(data.prepared) == files(first.prepared)
    answers = pd.read_csv(data.private / "answers.csv")
    assert grade(answers).score == grade_first(answers).score == 1
    more = answers.assign(labels=answers["labels"] + " wilting")
    sizes = answers["labels"].str.split().str.len()
    assert grade_first(more).score == 1
    assert grade(more).score == pytest.approx((2 * sizes / (2 * sizes + 1)).mean(), abs=1e-5)
    one = answers.assign(labels=answers["labels"].str.split().str[0])
    assert grade(one).score == pytest.approx((2 / (1 + sizes)).mean(), abs=1e-5)


def test_patients_of_the_radiographs_stay_together_and_all_labels_count(made, raw):
    table = pd.read_csv(raw(RADIOGRAPHS) / "train.csv").set_index("StudyInstanceUID")
    shared_patients = {}
    for edition in (1, 2):
        data, grade = made(RADIOGRAPHS, edition)
        train, test = (pd.read_csv(data.prepared / name) for name in ("public/train.csv", "private/test.csv"))
        shared_patients[edition] = set(train["PatientID"]) & set(test["PatientID"])
        assert len(train) + len(test) == len(table)
        assert {path.stem for path in (data.public / "test").iterdir()} == set(test["StudyInstanceUID"])
    assert shared_patients[1]
    assert not shared_patients[2]
    notes = pd.read_csv(data.public / "train_annotations.csv")
    assert set(notes["StudyInstanceUID"]) <= set(train["StudyInstanceUID"])

    labels = [column for column in table.columns if column != "PatientID"]
    assert len(labels) == 11
    assert sorted(pd.read_csv(data.public / "sample_submission.csv").columns) == sorted(["StudyInstanceUID", *labels])
    perfect = test[["StudyInstanceUID", *labels]]
    assert grade(perfect).score == 1
    assert grade(perfect.assign(**{"CVC - Normal": 0.5})).score == pytest.approx(1 - 0.5 / 11, abs=1e-5)
    assert "is missing" in grade(perfect.drop(columns="Swan Ganz Catheter Present")).reason


def test_nine_tenths_of_the_necks_are_train_with_all_their_annotations(made, raw):
    data, grade = made(NECKS)
    table = pd.read_csv(raw(NECKS) / "train.csv")
    train, answers = pd.read_csv(data.public / "train.csv"), pd.read_csv(data.private / "answers.csv")
    test = set(answers["StudyInstanceUID"])
    assert len(test) == int(np.ceil(0.1 * len(table)))
    assert set(train["StudyInstanceUID"]) == set(table["StudyInstanceUID"]) - test
    boxes, raw_boxes = (
        pd.read_csv(f / "train_bounding_boxes.csv")["StudyInstanceUID"].value_counts()
        for f in (data.public, raw(NECKS))
    )
    assert boxes.to_dict() == raw_boxes[~raw_boxes.index.isin(test)].to_dict()
    held, given = ({p.stem for p in (f / "segmentations").iterdir()} for f in (raw(NECKS), data.public))
    assert given == held - test
    assert set(raw_boxes.index) & test or held & test  # so that there was something to withhold
    for folder, studies in (("train_images", set(train["StudyInstanceUID"])), ("test_images", test)):
        assert {path.name for path in (data.public / folder).iterdir()} == studies
    assert not {"fractured", "patient_overall"} & set(pd.read_csv(data.public / "test.csv").columns)
    assert grade(answers[["row_id", "fractured"]]).score == pytest.approx(0, abs=1e-5)


def test_patients_of_the_lesions_stay_together_and_records_of_test_hold_no_diagnosis(made, raw):
    def records(part):
        paths = (data.public / "tfrecords").glob(f"{part}*.tfrec")
        examples = [unpack_example(record) for path in paths for record in read_records(path)]
        return {example["image_name"][0].decode(): example for example in examples}

    shared_patients, told = {}, {}
    for edition in (1, 2):
        data, grade = made(SKIN, edition)
        train, test = (pd.read_csv(data.public / name) for name in ("train.csv", "test.csv"))
        assert len(train) + len(test) == len(pd.read_csv(raw(SKIN) / "train.csv"))
        shared_patients[edition] = set(train["patient_id"]) & set(test["patient_id"])
        told[edition] = {f for example in records("test").values() for f in example} & TELLING
        for part, table in (("train", train), ("test", test)):
            names = set(table["image_name"])
            assert set(records(part)) == names
            assert all(example["image"] for example in records(part).values())
            assert {path.stem for path in (data.public / part).iterdir()} == names
            assert {path.stem for path in (data.public / "jpeg" / part).iterdir()} == names
        assert not TELLING & set(test.columns)
        assert grade(pd.read_csv(data.private / "test.csv")).score == 1
    assert shared_patients[1]
    assert not shared_patients[2]
    assert told[1]
    assert not told[2]
    for path in (data.public / "tfrecords").iterdir():
        assert int(path.stem.split("-")[1]) == len(list(read_records(path)))


def test_the_sample_of_the_ice_lies_in_public(made):
    first, _ = made("statoil-iceberg-classifier-challenge", 1)
    data, grade = made("statoil-iceberg-classifier-challenge")
    assert not (first.public / "sample_submission.csv").exists()
    sample = (data.public / "sample_submission.csv").read_bytes()
    assert sample == (first.private / "sample_submission.csv").read_bytes()
    answers = pd.read_csv(data.private / "test.csv")
    assert list(pd.read_csv(data.public / "sample_submission.csv")["id"]) == list(answers["id"])
    assert grade(answers).score == pytest.approx(0, abs=1e-5)
