"""Labelled recordings become train or test, in the files of the original data set."""

import io
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, need_columns, open_archive, read_csv, write_csv
from mleb_core.prepare.archives import ArchiveReader

ROOT = "mlsp_contest_dataset"
SPECIES = 19
PICTURES = ("filtered_spectrograms", "spectrograms", "supervised_segmentation", "segmentation_examples")
SEGMENTS = ("histogram_of_segments", "segment_features", "segment_rectangles")


def prepare(context: Preparation) -> None:
    """Only recordings of fold 0, whose labels are known, are used; `rec_id` is given anew, from 0 in file order.

    Test: a fifth of them, drawn at random, fold 1 in CVfolds_2.txt. Hidden: their species. In private/answers.csv each
    test recording has a row for each of the 19 species, `Id` = 100 rec_id + species.
    """
    archive = open_archive(context.raw / f"{ROOT}.zip", context.work)
    folds = _table(archive, "essential_data/CVfolds_2.txt", ["rec_id", "fold"])
    kept = folds[folds["fold"] == 0].reset_index(drop=True)
    new = {str(old): number for number, old in enumerate(kept["rec_id"])}
    kept["rec_id"] = range(len(kept))
    test = kept.sample(frac=0.2, random_state=0)["rec_id"]
    kept.loc[test, "fold"] = 1
    hidden = set(test)

    files = _table(archive, "essential_data/rec_id2filename.txt", ["rec_id", "filename"])
    files = files[files["rec_id"].astype(str).isin(new)]
    files = files.assign(rec_id=files["rec_id"].astype(str).map(new))[["rec_id", "filename"]]
    essential, supplemental = context.public / "essential_data", context.public / "supplemental_data"
    write_csv(kept[["rec_id", "fold"]], essential / "CVfolds_2.txt")
    write_csv(files, essential / "rec_id2filename.txt")

    labels, answers = ["rec_id,[labels]"], []
    for old, rest in _records(archive, "essential_data/rec_labels_test_hidden.txt"):
        if old not in new:
            continue
        number = new[old]
        species = {int(label) for label in rest.split(",")} if rest else set()
        shown = "?" if number in hidden else rest
        labels.append(f"{number},{shown}" if shown else str(number))
        if number in hidden:
            answers += [(100 * number + kind, int(kind in species)) for kind in range(SPECIES)]
    _write_lines(essential / "rec_labels_test_hidden.txt", labels)
    write_csv(pd.DataFrame(answers, columns=["Id", "Probability"]), context.private / "answers.csv")
    ids = [100 * number + kind for number in kept["rec_id"] if number in hidden for kind in range(SPECIES)]
    write_csv(pd.DataFrame({"Id": ids, "Probability": 0}), context.public / "sample_submission.csv")

    for name in SEGMENTS:
        member = f"supplemental_data/{name}.txt"
        header = "rec_id,[histogram of segment features]"  # as published, in all three
        if context.edition >= 2:
            header = _lines(archive, member)[0]
        rows = [f"{new[old]},{rest}" for old, rest in _records(archive, member) if old in new]
        _write_lines(supplemental / f"{name}.txt", [header, *rows])
    _copy_media(archive, list(files["filename"]), context)


def _copy_media(archive: ArchiveReader, filenames: Iterable[str], context: Preparation) -> None:
    """Sounds and pictures of these recordings; there is not a segmentation example of each."""
    wanted = [f"essential_data/src_wavs/{name}.wav" for name in filenames]
    wanted += [f"supplemental_data/{kind}/{name}.bmp" for kind in PICTURES for name in filenames]
    wanted += [f"supplemental_data/segment_{name}.bmp" for name in ("clusters", "mosaic")]
    wanted.append("essential_data/species_list.txt")
    there = set(archive.names())
    optional = "supplemental_data/segmentation_examples/"
    archive.extract(
        (f"{ROOT}/{name}", f"{context.public}/{name}")
        for name in wanted
        if not name.startswith(optional) or f"{ROOT}/{name}" in there
    )


def _lines(archive: ArchiveReader, member: str) -> list[str]:
    lines = archive.read(f"{ROOT}/{member}").decode().splitlines()
    if not lines:
        raise PreparationError(f"{ROOT}.zip: {member} is empty")
    return lines


def _records(archive: ArchiveReader, member: str) -> Iterable[tuple[str, str]]:
    """The lines after the header: the old rec_id, and what follows the first comma."""
    for line in _lines(archive, member)[1:]:
        old, _, rest = line.partition(",")
        yield old, rest


def _table(archive: ArchiveReader, member: str, columns: list[str]) -> pd.DataFrame:
    table = read_csv(io.BytesIO(archive.read(f"{ROOT}/{member}")), name=member)
    need_columns(table, columns, member)
    return table


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
