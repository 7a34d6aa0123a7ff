"""Competitions on pictures, prepared from small raw data of other shapes than the golden cases have."""

import json
import random

import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from mleb_core.prepare import prepare
from mleb_core.registry import Registry


@pytest.fixture
def made(tmp_path):
    """Prepares a competition from raw files, text by path; gives its prepared data."""

    def make(id, files, name="a"):
        raw = tmp_path / name / "raw"
        for path, text in files.items():
            (raw / path).parent.mkdir(parents=True, exist_ok=True)
            (raw / path).write_text(text)
        return prepare(Registry().competition(id), tmp_path / name / "data", raw_dir=raw, verify=False)

    return make


def tree(folder):
    """Text by relative path."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_is_no_segmentation_shifts_no_draw_of_studies(made):
    studies = [f"1.2.{k}" for k in range(40)]
    labels = ["patient_overall", *(f"C{k}" for k in range(1, 8))]
    table = pd.DataFrame({"StudyInstanceUID": studies} | dict.fromkeys(labels, 0))
    boxes = pd.DataFrame({"StudyInstanceUID": studies[:24], "x": 1.5})
    files = {"train.csv": table.to_csv(index=False), "train_bounding_boxes.csv": boxes.to_csv(index=False)}
    files |= {f"train_images/{study}/1.dcm": study for study in studies}
    files |= {f"segmentations/{study}.nii": study for study in studies[12:36]}
    strays = {"segmentations/.DS_Store": "", "segmentations/README.txt": "", "segmentations/1.2.1.nii.gz": ""}

    id = "rsna-2022-cervical-spine-fracture-detection"
    plain, strewn = made(id, files, "plain"), made(id, files | strays, "strewn")
    assert tree(strewn.public) == tree(plain.public)
    assert tree(strewn.private) == tree(plain.private)
    assert len(list((plain.public / "segmentations").iterdir())) == 2


def test_seedlings_go_by_species_then_by_file_name_whatever_is_in_them(made):
    names = ["x.png", "x-1.png", "x (2).png", "x1.png", "X.png"]
    species = ["Maize", "Maize 2", "Maize-x", "maize", "Fat Hen"]
    rows = [(f"{s[-1]}{len(s)}{name}", s) for s in species for name in names]
    data = made("plant-seedlings-classification", {f"train/{s}/{name}": name for name, s in rows})

    rows.sort(key=lambda row: (row[1], row[0]))
    _, test = train_test_split(rows, test_size=0.14, random_state=0)
    answers = pd.read_csv(data.private / "answers.csv")
    assert list(answers.itertuples(index=False, name=None)) == test


@pytest.mark.parametrize("seed", range(6))
def test_camera_locations_move_one_by_one_until_the_share_is_right(made, seed):
    draw = random.Random(seed)
    images = [{"id": f"i{k}", "location": min(draw.randint(1, 12), draw.randint(1, 12))} for k in range(60)]
    annotations = [{"image_id": image["id"], "category_id": draw.randint(0, 9)} for image in reversed(images)]
    train = {"images": images, "annotations": annotations, "categories": [], "info": {}}
    files = {
        "iwildcam2020_train_annotations.json": json.dumps(train),
        "iwildcam2020_test_information.json": json.dumps({"images": [], "categories": [], "info": {}}),
        "iwildcam2020_megadetector_results.json": "{}",
    }
    files |= {f"train/{image['id']}.jpg": image["id"] for image in images}
    data = made("iwildcam-2020-fgvc7", files)

    of_train, of_test = train_test_split(
        list(dict.fromkeys(image["location"] for image in images)), test_size=0.22, random_state=0
    )

    def share():
        size = sum(image["location"] in of_test for image in images)
        return size / (len(images) + size)

    while share() < 0.22:
        of_test.append(of_train.pop())
    while share() > 0.22:
        of_train.append(of_test.pop())
    test = {image["id"] for image in images if image["location"] in of_test}
    answers = pd.read_csv(data.private / "answers.csv")
    assert answers["Id"].tolist() == [row["image_id"] for row in annotations if row["image_id"] in test]
    assert {path.stem for path in (data.public / "test").iterdir()} == test
