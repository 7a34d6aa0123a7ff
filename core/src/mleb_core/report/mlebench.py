"""Reading MLE-bench's own files: grading reports, and run groups as they are published.

    <timestamp>_run-group_<agent>/
        metadata.json                        what was asked for
        submission.jsonl                     an object a line: competition_id, submission_path
        <timestamp>_grading_report.json      the grades
    run_group_experiments.csv                beside run groups: which belong to one experiment

What a field means that no public description tells is not guessed: it is left alone. So everything but the grades is
read leniently, and one wrong entry costs no other.
"""

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mleb_core.errors import RunGroupError
from mleb_core.report.models import CompetitionReport
from mleb_core.report.text import one_line, shorten

__all__ = [
    "EXPERIMENTS",
    "PublishedGrade",
    "PublishedGroup",
    "is_published_group",
    "read_experiments",
    "read_grading_report",
    "read_published_group",
]

EXPERIMENTS = "run_group_experiments.csv"
"""Name of the table of experiments."""
_NAME = re.compile(r"(?P<stamp>.+?)_run-group_(?P<agent>.+)")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(@[0-9]+)?")
_LARGEST = 256 * 1024**2


@dataclass(frozen=True)
class PublishedGrade:
    """One graded submission of another harness."""

    report: CompetitionReport
    """The grade."""
    seed: int | None
    """Where the entry names one."""
    origin: str
    """The file it comes from."""


@dataclass
class PublishedGroup:
    """What one run group of another harness left."""

    name: str
    """Name of its directory, or of the file."""
    agent: str
    """The agent's name as the directory has it; "" where it has none."""
    created_at: str
    """When it was made, as far as known: ISO 8601."""
    grades: list[PublishedGrade] = field(default_factory=list)
    """In the order of the file."""
    competitions: list[str] = field(default_factory=list)
    """Ids that submission.jsonl names: they were attempted, graded or not."""
    notes: list[str] = field(default_factory=list)
    """A line for each thing that could not be read or was left out."""


def is_published_group(path: Path) -> bool:
    """Whether a directory looks like a run group of MLE-bench."""
    return path.is_dir() and (
        _NAME.fullmatch(path.name) is not None
        or any((path / name).is_file() for name in ("submission.jsonl", "metadata.json", "grading_report.json"))
        or next(_reports(path), None) is not None
    )


def read_grading_report(path: Path) -> tuple[list[PublishedGrade], list[str]]:
    """Read a grading_report.json, MLE-bench's or ours.

    Returns:
        The grades that it holds, in its order; a line for each entry that is none.

    Raises:
        RunGroupError: it cannot be read, or is no grading report.
    """
    document = _json(path)
    entries = document.get("competition_reports") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise RunGroupError(f"{path}: a grading report is expected: no list `competition_reports` in it")
    version = document.get("format_version", 1)
    if version != 1:
        shown = one_line(str(version))[:20]
        raise RunGroupError(f"{path}: format_version is {shown}, this mleb reads 1; use the mleb that wrote it")
    grades, notes = [], []
    for number, entry in enumerate(entries, 1):
        try:
            grades.append(_grade(entry, path))
        except ValueError as error:
            notes.append(f"{path}: entry {number} is left out: {error}")
    return grades, notes


def read_published_group(path: Path) -> PublishedGroup:
    """Read a run group's directory, or a grading report alone.

    Where there are several grading reports, the last by name counts: names begin with the time.

    Raises:
        RunGroupError: it is neither, or cannot be read.
    """
    if path.is_file():
        grades, notes = read_grading_report(path)
        stamp = grades[0].report.created_at if grades else ""
        return PublishedGroup(path.stem, "", stamp, grades, [], notes)
    if not path.is_dir():
        raise RunGroupError(f"{path}: no such directory; a run group's directory is expected")
    named = _NAME.fullmatch(path.name)
    group = PublishedGroup(path.name, named["agent"] if named else "", named["stamp"] if named else "")
    try:
        found = sorted(_reports(path), key=lambda report: report.name)
    except OSError as error:
        raise RunGroupError(f"{path}: {error.strerror or error}") from None
    if found:
        group.grades, notes = read_grading_report(found[-1])
        group.notes += notes
        if len(found) > 1:
            group.notes.append(f"{path}: of {len(found)} grading reports the last counts, {found[-1].name}")
    group.competitions = _submitted(path / "submission.jsonl", group.notes)
    _metadata(path / "metadata.json", group)
    if not found and not group.competitions:
        raise RunGroupError(f"{path} is no run group of MLE-bench: it has no *grading_report.json, no submission.jsonl")
    if not found:
        group.notes.append(f"{path}: no grading report in it, so none of its runs has a verdict")
    return group


def read_experiments(path: Path) -> dict[str, str]:
    """Experiment by run group, from run_group_experiments.csv.

    Public descriptions name the file, not its columns: a column is taken for the run groups whose name holds
    "run_group" or "run-group", else the one whose cells look like names of run groups; the experiment is the column
    whose name holds "experiment", else the first other one.

    Returns:
        Run group's name to experiment's; empty where there is no such file.

    Raises:
        RunGroupError: it cannot be read, or no such columns are in it.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunGroupError(f"{path} cannot be read: {error}") from None
    columns = [name for name in (rows[0] if rows else {}) if name is not None]
    plain = {name: name.lower().replace("-", "_").replace(" ", "_") for name in columns}
    groups = [name for name in columns if plain[name] in ("run_group", "run_group_id", "run_groups")]
    groups += [name for name in columns if "run_group" in plain[name] and "experiment" not in plain[name]]
    groups += [name for name in columns if any("_run-group_" in str(row[name]) for row in rows)]
    others = [name for name in columns if name not in groups[:1]]
    experiments = [name for name in others if "experiment" in plain[name]] or others
    if rows and not (groups and experiments):
        raise RunGroupError(f"{path}: a column of run groups and one of experiments are expected")
    return {
        Path(str(row[groups[0]]).strip()).name: str(row[experiments[0]]).strip()
        for row in rows
        if row[groups[0]] and row[experiments[0]]
    }


def _reports(path: Path) -> Iterator[Path]:
    return (report for report in path.glob("*grading_report*.json") if report.is_file())


def _grade(entry: Any, path: Path) -> PublishedGrade:
    """Raises: ValueError: the entry is no graded submission; the message is one line."""
    if not isinstance(entry, dict):
        raise ValueError("an object is expected")
    fields = dict(entry)
    label = fields.get("competition_id")
    if not isinstance(label, str) or not _ID.fullmatch(label):
        raise ValueError(f"{shorten(one_line(str(label)), 60)!r} is no competition id")
    name, _, edition = label.partition("@")
    fields["competition_id"] = name
    fields.setdefault("edition", int(edition or 1))
    score = fields.get("score")
    if isinstance(score, float) and not math.isfinite(score):
        fields["score"] = None
    for flag in ("gold", "silver", "bronze"):
        if fields.get(f"{flag}_medal") is True:
            fields.setdefault("medal", flag)
    fields.setdefault("created_at", "")
    fields.setdefault("submission_path", "")
    for name in ("created_at", "submission_path"):
        fields[name] = "" if fields[name] is None else str(fields[name])
    try:
        report = CompetitionReport.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(one_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")) from None
    if report.any_medal != (report.medal != "none"):
        raise ValueError("any_medal and the medals contradict each other")
    seed = entry.get("seed")
    return PublishedGrade(report, seed if type(seed) is int and seed >= 0 else None, str(path))


def _submitted(path: Path, notes: list[str]) -> list[str]:
    """Competition ids of submission.jsonl, each once."""
    found: dict[str, None] = {}
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    id = json.loads(line)["competition_id"]
                except (ValueError, KeyError, TypeError, RecursionError):
                    id = None
                if isinstance(id, str) and _ID.fullmatch(id):
                    found[id] = None
                else:
                    notes.append(f"{path}, line {number} is left out: it names no competition")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        notes.append(f"{path} cannot be read: {error.strerror or error}")
    return list(found)


def _metadata(path: Path, group: PublishedGroup) -> None:
    """Take from metadata.json what its keys say beyond doubt: the time, where the directory's name has none."""
    if not path.exists():
        return
    try:
        document = _json(path)
    except RunGroupError as error:
        group.notes.append(str(error))
        return
    if isinstance(document, dict) and isinstance(created := document.get("created_at"), str):
        group.created_at = group.created_at or created


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _LARGEST:
            raise RunGroupError(f"{path}: larger than {_LARGEST // 1024**2} MiB; a JSON report is expected")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RunGroupError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise RunGroupError(f"{path}: the file is not whole JSON") from None
