"""Drives are split by calendar date, so that phones in one car, and drives of one day, stay together."""

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, files_below, grouped_split, need_columns, read_csv, write_csv

TRUTH, REFERENCE_LOG = "ground_truth.csv", "span_log.nmea"


def prepare(context: Preparation) -> None:
    """Copy drive folders; hidden in test drives: ground truth (edition 2: and the reference receiver's log)."""
    context.recipe()
    raw = context.raw / "train"
    if not raw.is_dir():
        raise PreparationError(f"{raw} is missing; a folder for each drive is expected there")
    drives = sorted(path.name for path in raw.iterdir() if path.is_dir())
    parts = grouped_split([_date(drive) for drive in drives], 0.1, order="sorted")
    test = {drives[i] for i in parts.test}
    secret = {TRUTH} if context.edition == 1 else {TRUTH, REFERENCE_LOG}

    pairs, truths = [], []
    for file in files_below(raw):
        drive, *_, name = file.split("/")
        if drive not in test:
            pairs.append((f"{raw}/{file}", f"{context.public}/train/{file}"))
            continue
        if name not in secret:
            pairs.append((f"{raw}/{file}", f"{context.public}/test/{file}"))
        if name == TRUTH and file.count("/") == 2:
            truths.append(file.split("/"))
    copy_files(pairs, own=context.own_raw)

    if not truths:
        raise PreparationError(f"{raw}: no test drive has a {TRUTH}")
    answers = pd.concat([_truth(context, drive, phone) for drive, phone, _ in sorted(truths)])
    write_csv(answers, context.private / "test.csv")
    sample = answers.assign(LatitudeDegrees=37.904611315634504, LongitudeDegrees=-86.48107806249548)
    write_csv(sample, context.public / "sample_submission.csv")


def _date(drive: str) -> str:
    """`2020-6-4-US-MTV-1` is of 2020-06-04."""
    year, month, day, *_ = [*drive.split("-", 3), "", "", ""]
    return f"{year}-{month:0>2}-{day:0>2}"


def _truth(context: Preparation, drive: str, phone: str) -> pd.DataFrame:
    """The true track of one phone; the published answers were read with the older, faster parser of floats."""
    path = context.raw / "train" / drive / phone / TRUTH
    track = read_csv(path, floats="fast")
    columns = ["UnixTimeMillis", "LatitudeDegrees", "LongitudeDegrees"]
    need_columns(track, columns, str(path))
    return track[columns].assign(tripId=f"{drive}-{phone}")[["tripId", *columns]]
