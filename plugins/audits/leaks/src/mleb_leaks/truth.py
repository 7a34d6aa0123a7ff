"""The answers, by test id: what must not be public."""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mleb_core.audits.protocol import AuditedData

__all__ = ["MISSING", "Truth", "Unsuitable", "as_number", "candidates", "is_missing", "normal", "read_truth"]

_WORDS = ("", "nan", "na", "n/a", "none", "null", "nil", "unknown", "-", "?", "<na>")
MISSING = frozenset(form for word in _WORDS for form in (word, word.upper(), word.capitalize(), "NaN"))
"""Cells that stand for nothing."""
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,5}$")


class Unsuitable(Exception):
    """The answers are in a form that is not searched for; the message says which."""


@dataclass(frozen=True)
class Truth:
    """The answers of the test ids that are looked for."""

    id_columns: tuple[str, ...]
    """Names of the columns that make an id."""
    ids: tuple[str, ...]
    """The ids as text; several columns are joined by a line break."""
    targets: Mapping[str, tuple[str, ...]]
    """Columns of answers, each with a text for each of `ids`."""
    others: Mapping[str, tuple[str, ...]]
    """Columns of the private table that are not asked for, such as a patient's number."""
    total: int
    """Number of test ids, looked for or not."""
    index: Mapping[str, int]
    """Position by id."""
    loose: Mapping[str, int]
    """Position by the id's letters and digits alone, without a file's suffix; only where that is unambiguous."""
    numbers: Mapping[int, int]
    """Position by number, where all ids are digits (`0028` is 28)."""
    trips: Mapping[str, tuple[int, ...]]
    """Where several columns make an id: positions by the first of them, as in `loose`."""
    file: str
    """The private table, `private/answers.csv`."""
    telling: bool
    """Whether an id is unlikely to be anything else (not a small number)."""


def read_truth(data: AuditedData, most: int) -> Truth:
    """Read the private answers.

    Args:
        data: the prepared data.
        most: ids to keep; of more, those whose hash is smallest.

    Raises:
        Unsuitable: no table, no ids in it, or no answers beside them.
    """
    import pandas as pd

    grading = data.competition.spec.grading
    path = data.data.private / grading.answers
    if not path.is_file():
        raise Unsuitable(f"the answers are not in a file {grading.answers}")
    name = path.name.lower()
    try:
        if name.endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz")):
            table = pd.read_csv(path, sep="\t" if ".tsv" in name else ",", dtype=str, keep_default_na=False)
        elif name.endswith(".parquet"):
            table = pd.read_parquet(path).astype(str)
        else:
            raise Unsuitable(f"the answers are no table: {grading.answers}")
    except (ValueError, ImportError, UnicodeDecodeError) as error:
        raise Unsuitable(f"{grading.answers} cannot be read as a table: {str(error).splitlines()[0]}") from None
    id_columns = tuple(column for column in grading.id if column in table.columns)
    if not id_columns:
        raise Unsuitable(f"{grading.answers} has no column {' or '.join(grading.id)}")
    ids = table[list(id_columns)].agg("\n".join, axis=1) if len(id_columns) > 1 else table[id_columns[0]]
    kept = ~ids.duplicated()
    table, ids = table[kept], ids[kept]
    total = len(table)
    if total > most:
        hashes = [hashlib.sha256(str(id).encode()).digest() for id in ids.tolist()]
        order = sorted(range(total), key=hashes.__getitem__)[:most]
        table, ids = table.iloc[sorted(order)], ids.iloc[sorted(order)]
    columns = [column for column in table.columns if column not in id_columns]
    asked = _asked(columns, data)
    targets = {column: tuple(table[column]) for column in asked if table[column].nunique() > 0}
    if not targets:
        raise Unsuitable(f"{grading.answers} has no column beside the ids")
    others = {column: tuple(table[column]) for column in columns if column not in targets}
    texts = tuple(ids)
    firsts = tuple(table[id_columns[0]])
    trips = _together((normal(text), position) for position, text in enumerate(firsts))
    digits = all(text.isdigit() for text in texts) and len(id_columns) == 1
    return Truth(
        id_columns=id_columns,
        ids=texts,
        targets=targets,
        others=others,
        total=total,
        index={text: position for position, text in enumerate(texts)},
        loose=_unambiguous((normal(text), position) for position, text in enumerate(texts)),
        numbers=_unambiguous((int(text), position) for position, text in enumerate(texts)) if digits else {},
        trips=trips if len(id_columns) > 1 else {},
        file=f"private/{grading.answers}",
        telling=sum(len(text) >= 6 or not text.isdigit() for text in texts) > 0.9 * len(texts)
        and sum(len(text) >= 4 for text in texts) > 0.9 * len(texts),
    )


def normal(text: str) -> str:
    """Letters and digits of an id or a file's name without its suffix, in lower case."""
    return re.sub(r"[^a-z0-9]", "", _SUFFIX.sub("", text).lower())


def is_missing(text: str) -> bool:
    """Whether a cell stands for nothing."""
    return text.strip() in MISSING


def as_number(text: str) -> float | None:
    """The finite number that a text stands for."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _sample_columns(data: AuditedData) -> Sequence[str]:
    return _columns(data.data.public / data.competition.spec.grading.sample)


def _columns(path: Path) -> Sequence[str]:
    """The header of a CSV; empty where there is none."""
    import pandas as pd

    try:
        return [str(column) for column in pd.read_csv(path, nrows=0).columns]
    except (OSError, ValueError):
        return []


def _asked(columns: Sequence[str], data: AuditedData) -> Sequence[str]:
    """The columns that are answers: by the grader's option `truth`, by the columns that are handed in, by the sample
    submission (which may have further columns of the test set, so it comes last), else all that no test table has.
    """
    grading = data.competition.spec.grading
    truth = grading.options.get("truth")
    named = {truth} if isinstance(truth, str) else set(truth) if isinstance(truth, list | dict) else set()
    for wanted in (named, set(grading.columns), set(_sample_columns(data))):
        if asked := [column for column in columns if column in wanted]:
            return asked
    given: set[str] = set()
    for path in data.data.public.glob("*test*.csv"):
        given |= set(_columns(path))
    return [column for column in columns if column not in given] or columns


def _unambiguous(pairs: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    twice = set()
    for key, position in pairs:
        if key in found:
            twice.add(key)
        found[key] = position
    return {key: position for key, position in found.items() if key not in twice and key != ""}


def _together(pairs: Iterable[tuple[str, int]]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for key, position in pairs:
        found.setdefault(key, []).append(position)
    return {key: tuple(positions) for key, positions in found.items()}


def candidates(parts: Sequence[str]) -> Iterator[str]:
    """What in a path may be an id, the likeliest first: names, parts of names, neighbouring folders together."""
    for part in reversed(parts):
        stem = _SUFFIX.sub("", part)
        yield stem
        pieces = re.split(r"([^A-Za-z0-9]+)", stem)
        for end in range(len(pieces) - 2, 0, -2):
            yield "".join(pieces[:end])
        for start in range(2, len(pieces), 2):
            yield "".join(pieces[start:])
    for length in (2, 3):
        for start in range(len(parts) - length, -1, -1):
            yield "-".join(_SUFFIX.sub("", part) for part in parts[start : start + length])
