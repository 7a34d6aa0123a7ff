"""The TFRecord files are split; a photograph is test if it is in a test file.

public/train_tfrecords, test_tfrecords   the record files, renumbered; from edition 2 on test records without labels
public/train_images, test_images         the photographs themselves
public/train.csv, private/test.csv       image_id, label
public/sample_submission.csv             label 4 throughout
"""

from pathlib import Path

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, files_below, random_split, write_csv
from mleb_mlebench.tfrecord import pack_example, read_records, unpack_example, write_records

LEFT_IN_TEST = ("image", "image_name")


def prepare(context: Preparation) -> None:
    table = context.recipe().table("train")
    folder = context.raw / "train_tfrecords"
    if not folder.is_dir():
        raise PreparationError(f"{folder} is missing; a folder of TFRecord files is expected there")
    files = [folder / name for name in files_below(folder) if name.endswith(".tfrec")]
    train, test = random_split(len(files), 0.1, what=f"TFRecord files in {folder}")

    pairs = [(str(files[k]), f"{context.public}/{_name(files[k], 'train', i)}") for i, k in enumerate(train)]
    test_ids: set[str] = set()
    for i, k in enumerate(test):
        context.progress(f"reading {files[k].name}")
        test_ids |= _image_names(files[k])
        target = context.public / _name(files[k], "test", i)
        if context.edition == 1:
            pairs.append((str(files[k]), str(target)))
        else:
            write_records(target, (_without_label(record) for record in read_records(files[k])))

    is_test = table["image_id"].isin(test_ids)
    answers = table[is_test]
    write_csv(table[~is_test], context.public / "train.csv")
    write_csv(answers, context.private / "test.csv")
    write_csv(answers.assign(label=4), context.public / "sample_submission.csv")
    for image, part in zip(table["image_id"], is_test, strict=True):
        goal = "test_images" if part else "train_images"
        pairs.append((f"{context.raw}/train_images/{image}", f"{context.public}/{goal}/{image}"))
    copy_files(pairs, own=context.own_raw)


def _name(file: Path, part: str, number: int) -> str:
    """A record file's new place; the old stem is ld_trainNN-COUNT."""
    words = file.stem.split("-")
    if len(words) < 2:
        raise PreparationError(f"{file}: a name such as ld_train00-1338.tfrec is expected")
    return f"{part}_tfrecords/ld_{part}{number:02d}-{words[1]}.tfrec"


def _image_names(file: Path) -> set[str]:
    names = set()
    for record in read_records(file):
        name = unpack_example(record).get("image_name", [])
        if not name or not isinstance(name[0], bytes):
            raise PreparationError(f"{file}: a record has no bytes feature image_name")
        names.add(name[0].decode())
    return names


def _without_label(record: bytes) -> bytes:
    return pack_example({name: values for name, values in unpack_example(record).items() if name in LEFT_IN_TEST})
