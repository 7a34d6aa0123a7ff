"""The drives (logs) are split, a fifth for test; samples, tables, pictures and lidar sweeps follow their log.

public/train.csv                 boxes of the train samples
public/{train,test}_data         the tables of each part; test has no annotations (instance, sample_annotation)
public/{train,test}_{images,lidar,maps}   the files that the tables name
public/sample_submission.csv     no boxes
private/test.csv                 boxes of the test samples, each with a confidence of 1.0 put before it
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_file, copy_files, need_columns, random_split, read_csv, write_csv

Records = list[dict[str, Any]]

SAME = ("attribute", "category", "sensor", "visibility")
MAP = "map_raster_palo_alto.png"
FOLDERS = {"jpeg": "images", "bin": "lidar"}
BOX_WORDS = 8


def prepare(context: Preparation) -> None:
    raw = context.raw / "train_data"
    tokens = [log["token"] for log in _read(raw, "log")]
    train, test = random_split(len(tokens), 0.2, what="logs in train_data/log.json")
    logs = {"train": [tokens[i] for i in train], "test": [tokens[i] for i in test]}
    samples = {part: _write_tables(context, part, logs) for part in logs}

    boxes = read_csv(context.raw / "train.csv")
    need_columns(boxes, ["Id", "PredictionString"], "train.csv")
    write_csv(boxes[boxes["Id"].isin(samples["train"])], context.public / "train.csv")
    answers = boxes[boxes["Id"].isin(samples["test"])].reset_index(drop=True)
    answers["PredictionString"] = [
        _with_confidence(id, text) for id, text in zip(answers["Id"], answers["PredictionString"], strict=True)
    ]
    write_csv(answers, context.private / "test.csv")
    write_csv(answers.assign(PredictionString=""), context.public / "sample_submission.csv")


def _write_tables(context: Preparation, part: str, logs: dict[str, list[str]]) -> set[str]:
    """Write one part's tables and lay out its files; gives its sample tokens."""
    raw, target = context.raw / "train_data", context.public / f"{part}_data"
    target.mkdir()
    context.progress(f"laying out {target.name}")
    for name in SAME:
        copy_file(raw / f"{name}.json", target / f"{name}.json", own=context.own_raw)
    mine = set(logs[part])
    sample = [record for record in _read(raw, "sample") if record["scene_token"] in mine]
    tokens = {record["token"] for record in sample}
    data = [record for record in _read(raw, "sample_data") if record["sample_token"] in tokens]
    _write(target, "log", [record for record in _read(raw, "log") if record["token"] in mine])
    _write(target, "scene", [record for record in _read(raw, "scene") if record["log_token"] in mine])
    _write(target, "sample", sample)
    _write(target, "sample_data", data)
    used = dict.fromkeys(record["calibrated_sensor_token"] for record in data)
    _write(target, "calibrated_sensor", _in_order(_read(raw, "calibrated_sensor"), used))
    _write(target, "ego_pose", _in_order(_read(raw, "ego_pose"), [record["ego_pose_token"] for record in data]))
    # As published, both maps name the test logs.
    named = logs["test" if context.edition == 1 else part]
    _write(target, "map", [{**record, "log_tokens": named} for record in _read(raw, "map")])
    if part == "train":
        annotations = [record for record in _read(raw, "sample_annotation") if record["sample_token"] in tokens]
        instances = {record["instance_token"] for record in annotations}
        _write(target, "sample_annotation", annotations)
        _write(target, "instance", [record for record in _read(raw, "instance") if record["token"] in instances])

    pairs = [("train_maps/" + MAP, f"{part}_maps/{MAP}")]
    for record in data:
        folder = FOLDERS.get(record["fileformat"])
        if folder is None:
            raise PreparationError(
                f"train_data/sample_data.json: fileformat {record['fileformat']!r}; jpeg or bin is expected"
            )
        name = record["filename"].rpartition("/")[2]
        pairs.append((f"train_{folder}/{name}", f"{part}_{folder}/{name}"))
    copy_files([(f"{context.raw}/{a}", f"{context.public}/{b}") for a, b in dict.fromkeys(pairs)], own=context.own_raw)
    return tokens


def _with_confidence(id: str, text: object) -> str:
    words = text.split(" ") if isinstance(text, str) else []
    if not words or len(words) % BOX_WORDS:
        raise PreparationError(f"train.csv: {id} has {len(words)} words where groups of {BOX_WORDS} are expected")
    return " ".join(" ".join(["1.0", *words[i : i + BOX_WORDS]]) for i in range(0, len(words), BOX_WORDS))


def _in_order(records: Records, tokens: Iterable[str]) -> Records:
    by_token = {record["token"]: record for record in records}
    return [by_token[token] for token in tokens]


def _read(folder: Path, name: str) -> Records:
    path = folder / f"{name}.json"
    if not path.is_file():
        raise PreparationError(f"{path} is missing; a table of records is expected there")
    try:
        records: Records = json.loads(path.read_bytes())
    except ValueError as error:
        raise PreparationError(f"{path} is not JSON ({error}); get it again") from None
    return records


def _write(folder: Path, name: str, records: Records) -> None:
    (folder / f"{name}.json").write_text(json.dumps(records), encoding="utf-8")
