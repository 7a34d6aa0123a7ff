"""Images as DICOM, JPEG and TFRecord. As published, two TFRecord files are test; from edition 2 on, patients are."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_file, copy_files, grouped_split, need_columns, read_csv, write_csv
from mleb_mlebench.tfrecord import pack_example, read_records, unpack_example, write_records

TEST_FILES = ("train00-2071.tfrec", "train06-2071.tfrec")
OF_TEST = ["image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge"]
FEATURES_OF_TEST = {*OF_TEST, "image", "width", "height"}


def prepare(context: Preparation) -> None:
    """Split the rows of train.csv, the order kept.

    Written: public/train.csv; public/test.csv without diagnosis and target; private/test.csv, the answers; a sample
    submission of 0; .dcm and .jpg files of each image under train or test; the TFRecord files.
    """
    table = read_csv(context.raw / "train.csv", dtype={"image_name": "text", "patient_id": "text"}, floats="fast")
    need_columns(table, [*OF_TEST, "target"], "train.csv")
    of_test = in_test_files(context, table) if context.edition == 1 else of_test_patients(table)
    train, test = table[~of_test], table[of_test]
    write_csv(train, context.public / "train.csv")
    write_csv(test[OF_TEST], context.public / "test.csv")
    write_csv(test[["image_name", "target"]], context.private / "test.csv")
    write_csv(test[["image_name"]].assign(target=0), context.public / "sample_submission.csv")

    raw, public = context.raw, context.public
    for part, rows in (("train", train), ("test", test)):
        context.progress(f"laying out images of {part}")
        names = rows["image_name"].tolist()
        pairs = [(f"{raw}/train/{name}.dcm", f"{public}/{part}/{name}.dcm") for name in names]
        pairs += [(f"{raw}/jpeg/train/{name}.jpg", f"{public}/jpeg/{part}/{name}.jpg") for name in names]
        copy_files(pairs, own=context.own_raw)

    context.progress("laying out TFRecords")
    if context.edition == 1:
        _copy_records(context)
    else:
        _write_records(context, set(train["image_name"]), set(test["image_name"]))


def in_test_files(context: Preparation, table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows have their image in one of the TFRecord files that are test, shape (n,)."""
    names = {
        _image_name(unpack_example(record), file)
        for file in TEST_FILES
        for record in read_records(context.raw / "tfrecords" / file)
    }
    result: NDArray[np.bool_] = table["image_name"].isin(names).to_numpy(dtype=bool)
    return result


def of_test_patients(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are of the patients that are test: a random eighth of all, shape (n,)."""
    result = np.zeros(len(table), dtype=np.bool_)
    result[grouped_split(table["patient_id"], 0.125).test] = True
    return result


def _copy_records(context: Preparation) -> None:
    """Whole files, byte for byte: as published, with the targets in those of test. Each part counts from 00."""
    numbers = {"train": 0, "test": 0}
    for path in _record_files(context):
        part = "test" if path.name in TEST_FILES else "train"
        target = f"{part}{numbers[part]:02d}-{path.stem.partition('-')[2]}.tfrec"
        copy_file(path, context.public / "tfrecords" / target, own=context.own_raw)
        numbers[part] += 1


def _write_records(context: Preparation, train: set[str], test: set[str]) -> None:
    """Each file as two: its records of train, and those of test without what tells the diagnosis."""
    for number, path in enumerate(_record_files(context)):
        context.progress(f"writing TFRecords of {path.name}")
        parts: dict[str, list[bytes]] = {"train": [], "test": []}
        for record in read_records(path):
            features = unpack_example(record)
            name = _image_name(features, path.name)
            if name in train:
                parts["train"].append(record)
            elif name in test:
                parts["test"].append(pack_example({k: v for k, v in features.items() if k in FEATURES_OF_TEST}))
        for part, records in parts.items():
            if records:
                write_records(context.public / "tfrecords" / f"{part}{number:02d}-{len(records)}.tfrec", records)


def _record_files(context: Preparation) -> list[Path]:
    files = sorted((context.raw / "tfrecords").glob("train*.tfrec"), key=lambda path: path.name)
    if absent := set(TEST_FILES) - {path.name for path in files}:
        raise PreparationError(f"tfrecords/{min(absent)} is missing in {context.raw}; a TFRecord file is expected")
    return files


def _image_name(features: dict[str, Any], file: str) -> str:
    match features.get("image_name"):
        case [bytes() as name]:
            return name.decode()
    raise PreparationError(f"{file}: a record has no image_name")
