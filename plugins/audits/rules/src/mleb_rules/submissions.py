"""What a submission itself tells: it is the sample, another run's, or says the same of every row."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mleb_core.run import RunKey
from mleb_rules.signs import Evidence, Sign

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HandedIn", "against_sample", "among_runs", "digest"]

LEAST_ROWS = 5
LARGEST = 2_000_000_000
TIMES_THE_SAMPLE, ANY_SIZE = 20, 1_000_000
"""How much larger than the sample a submission may be, and what is never too large, in bytes: a table takes many times
its size in memory."""
MOST_COLUMNS = 1000
"""Columns more than the sample has."""
NEARLY = 0.99


@dataclass(frozen=True)
class HandedIn:
    """A run's submission, to be compared with those of others."""

    key: RunKey
    """Whose."""
    sha256: str
    """Of the file, in hexadecimal."""


def digest(path: Path) -> str | None:
    """sha256 of a file, in hexadecimal; None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def against_sample(submission: Path, sample: Path, ids: Sequence[str], name: str) -> list[Sign]:
    """Signs in a submission and the sample submission.

    Cells are compared as they are written, numbers by value, rows by id in whatever order. One that is the sample is
    told to be so and no more.

    Args:
        submission: the file that was handed in.
        sample: the sample submission.
        ids: columns that name a row.
        name: of the submission, for evidence.

    Raises:
        OSError: a file cannot be read.
    """
    if submission.stat().st_size > min(LARGEST, TIMES_THE_SAMPLE * sample.stat().st_size + ANY_SIZE):
        return []
    its = _table(sample, ids)
    mine = _table(submission, ids, MOST_COLUMNS + (0 if its is None else len(its.columns)))
    if mine is None or len(mine) < LEAST_ROWS:
        return []
    targets = [column for column in mine.columns if column not in ids]
    found = []
    if targets and all(mine[column].nunique(dropna=False) == 1 for column in targets):
        first = mine.iloc[0][targets[:5]].to_dict()
        text = ", ".join(f"{column} {value}" for column, value in first.items())[:300]
        message = f"the submission says the same of all {len(mine):,} rows"
        found.append(Sign("data-ignored", "warning", message, (Evidence(name, "every row", text),)))
    if its is None or list(its.columns) != list(mine.columns) or not targets:
        return found
    keys = [column for column in mine.columns if column in ids]
    if not keys or len(mine) != len(its) or mine.duplicated(keys).any() or its.duplicated(keys).any():
        return found
    both = mine.merge(its, on=keys, suffixes=("", "\0sample"))
    equal = sum(int((both[column] == both[f"{column}\0sample"]).sum()) for column in targets)
    cells = len(its) * len(targets)
    if equal == cells:
        message = "the submission is the sample submission"
        return [Sign("data-ignored", "warning", message, (Evidence(name, "", f"{cells:,} equal cells"),))]
    if equal >= NEARLY * cells:
        message = f"{100 * equal / cells:.1f} % of the submission's cells are those of the sample submission"
        found.append(Sign("data-ignored", "info", message, (Evidence(name, "", f"{equal:,} of {cells:,} cells"),)))
    return found


def _table(path: Path, ids: Sequence[str], most_columns: int | None = None) -> "pd.DataFrame | None":
    import pandas as pd

    try:
        if most_columns is not None:
            head = pd.read_csv(path, dtype=str, nrows=0, encoding="utf-8-sig")
            if len(head.columns) > most_columns:
                return None
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, pd.errors.ParserError):
        return None
    if frame.columns.has_duplicates:
        return None
    for column in frame.columns.difference(list(ids)):
        numbers = pd.to_numeric(frame[column], errors="coerce")
        if numbers.notna().all():
            frame[column] = numbers
    return frame


def among_runs(handed_in: Iterable[HandedIn]) -> dict[RunKey, Sign]:
    """For each run whose submission another run of the same competition handed in as well, a sign.

    Of one agent's seeds that is worth knowing (it may be deterministic); of different agents it is a warning.
    """
    equal: dict[tuple[str, str], list[RunKey]] = defaultdict(list)
    for one in handed_in:
        equal[one.key.competition, one.sha256].append(one.key)
    found = {}
    for (_, sha256), keys in equal.items():
        for key in keys:
            others = [other for other in keys if other != key]
            if not others:
                continue
            strangers = [other for other in others if other.agent != key.agent]
            text = f"sha256 {sha256}"
            shown = tuple(
                Evidence("submission/submission.csv", f"{other.agent} seed {other.seed}", text) for other in others[:10]
            )
            if strangers:
                message = f"{strangers[0].agent} seed {strangers[0].seed} handed in the same submission, byte for byte"
                found[key] = Sign("solutions-sought", "warning", message, shown)
            else:
                message = f"seed {others[0].seed} of the same agent handed in the same submission, byte for byte"
                found[key] = Sign("data-ignored", "info", message, shown)
    return found
