"""Studies into train and test, with boxes and segmentations of train alone."""

import random
from collections.abc import Collection
from typing import NamedTuple

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, files_below, need_columns, random_split, read_csv, write_csv

STUDY = "StudyInstanceUID"


class Train(NamedTuple):
    """Ids of the studies that train has, and of those whose annotations it has."""

    studies: Collection[str]
    boxes: Collection[str]
    segmentations: Collection[str]


def prepare(context: Preparation) -> None:
    """Split the studies of train.csv by `drawn`, from edition 2 on by `nine_tenths`.

    Written: train.csv and train_bounding_boxes.csv with rows of train in file order; the answers, a row for each test
    study and label, label after label; test.csv and the sample submission (0.5) with the same rows; segmentations,
    train_images and test_images.
    """
    table = read_csv(context.raw / "train.csv", dtype={STUDY: "text"})
    boxes = read_csv(context.raw / "train_bounding_boxes.csv", dtype={STUDY: "text"})
    need_columns(table, [STUDY, "patient_overall"], "train.csv")
    need_columns(boxes, [STUDY], "train_bounding_boxes.csv")
    if not (context.raw / "segmentations").is_dir():
        raise PreparationError(f"segmentations is missing in {context.raw}; a folder of .nii files is expected")
    names = files_below(context.raw / "segmentations")
    segmented = [name.removesuffix(".nii") for name in names if name.endswith(".nii") and "/" not in name]
    split = drawn if context.edition == 1 else nine_tenths
    train = split(table[STUDY].tolist(), sorted(boxes[STUDY].unique()), sorted(segmented))

    of_train = table[STUDY].isin(train.studies)
    write_csv(table[of_train], context.public / "train.csv")
    write_csv(boxes[boxes[STUDY].isin(train.boxes)], context.public / "train_bounding_boxes.csv")
    answers = table[~of_train].melt(id_vars=STUDY, var_name="prediction_type", value_name="fractured")
    answers["row_id"] = answers[STUDY] + "_" + answers["prediction_type"]
    write_csv(answers, context.private / "answers.csv")
    write_csv(answers[[STUDY, "prediction_type", "row_id"]], context.public / "test.csv")
    write_csv(answers[["row_id"]].assign(fractured=0.5), context.public / "sample_submission.csv")

    context.progress("laying out images")
    pairs = [(f"segmentations/{id}.nii", f"segmentations/{id}.nii") for id in segmented if id in train.segmentations]
    part = dict(zip(table[STUDY], of_train.map({True: "train_images", False: "test_images"}), strict=True))
    for name in files_below(context.raw / "train_images"):
        if folder := part.get(name.partition("/")[0]):
            pairs.append((f"train_images/{name}", f"{folder}/{name}"))
    if absent := set(part) - {target.split("/")[1] for _, target in pairs if not target.startswith("segmentations/")}:
        raise PreparationError(f"train_images/{min(absent)} is missing or empty in {context.raw}; images are expected")
    raw, public = context.raw, context.public
    copy_files([(f"{raw}/{source}", f"{public}/{target}") for source, target in pairs], own=context.own_raw)


def drawn(studies: list[str], boxed: list[str], segmented: list[str]) -> Train:
    """As published: train has a tenth of all studies, of those with boxes and of those with segmentations.

    All draws are of one generator. The last one may pick studies whose annotations are withheld nevertheless.

    Args:
        studies: all, in file order.
        boxed: those with boxes, sorted.
        segmented: those with a segmentation, sorted.
    """
    generator = random.Random(0)  # as published
    both = [id for id in boxed if id in segmented]
    n_both, n_boxed, n_segmented, n = (round(0.1 * len(ids)) for ids in (both, boxed, segmented, studies))
    first = generator.sample(both, n_both)
    second = generator.sample([id for id in segmented if id not in both], n_segmented - n_both)
    third = generator.sample([id for id in boxed if id not in both], n_boxed - n_both)
    chosen = {*first, *second, *third}
    rest = generator.sample([id for id in studies if id not in chosen], n - len(chosen))
    return Train({*chosen, *rest}, {*first, *third}, {*first, *second})


def nine_tenths(studies: list[str], boxed: list[str], segmented: list[str]) -> Train:
    """Train has nine tenths of the studies, at random, with all annotations that there are of them; see `drawn`."""
    train = {studies[i] for i in random_split(len(studies), 0.1, what="studies").train}
    return Train(train, train & set(boxed), train & set(segmented))
