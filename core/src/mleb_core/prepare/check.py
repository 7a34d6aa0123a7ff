"""Checks of prepared data before anybody relies on it."""

import csv
import gzip
from pathlib import Path

from mleb_core.competition_spec import CompetitionSpec
from mleb_core.errors import PreparationError
from mleb_core.prepare.checksums import md5_of
from mleb_core.prepare.manifest import FileEntry

__all__ = ["check_outputs", "check_published"]


def check_outputs(prepared: Path, spec: CompetitionSpec, files: dict[str, FileEntry]) -> None:
    """What every competition must have made.

    The sample submission has the id and target columns and a row; the answers, where they are a CSV, have the ids
    and a row (graders of a kind of their own read targets under names of their own); no public file equals the
    answers; no file directly in public/ or private/ is empty.

    Args:
        prepared: holds public/ and private/.
        spec: the competition.
        files: the checksums of what is there.

    Raises:
        PreparationError: names the file and what was expected.
    """
    grading = spec.grading
    targets = [name for name in grading.columns if name != "*"]
    sample, answers = prepared / "public" / grading.sample, prepared / "private" / grading.answers
    for path, role, columns in ((sample, "sample submission", targets), (answers, "answers", [])):
        if not path.is_file():
            raise PreparationError(f"{_short(path, prepared)} was not made; the {role} is expected there")
        if path.name.endswith((".csv", ".tsv")):
            _check_table(path, [*grading.id, *columns], f"{_short(path, prepared)} ({role})")
    for name, entry in files.items():
        if entry.bytes == 0 and name.count("/") == 1:
            raise PreparationError(f"{name} is empty")
    secret = files.get(f"private/{grading.answers}")
    for name, entry in files.items():
        if secret is not None and name.startswith("public/") and entry.sha256 == secret.sha256:
            raise PreparationError(f"{name} holds the answers (it equals private/{grading.answers})")


def check_published(prepared: Path, spec: CompetitionSpec) -> None:
    """Compare with the published checksums.

    Raises:
        PreparationError: names the first file that differs or is missing, and how many do.
    """
    wrong = []
    for part, sums in (("public", spec.checksums.public), ("private", spec.checksums.private)):
        for name, published in sums.items():
            path = prepared / part / name
            found = md5_of(path) if path.is_file() else "nothing"
            if found != published:
                wrong.append(f"{part}/{name} has md5 {found}, published is {published}")
    if wrong:
        more = f" ({len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise PreparationError(f"{spec.id}: {wrong[0]}{more}; --skip-verification takes the data as it is")


def _check_table(path: Path, columns: list[str], label: str) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    csv.field_size_limit(2**31 - 1)
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as stream:
            reader = csv.reader(stream, delimiter="\t" if path.name.endswith(".tsv") else ",")
            header, first = next(reader, None), next(reader, None)
    except (UnicodeDecodeError, csv.Error) as error:
        raise PreparationError(f"{label} cannot be read as a table: {error}") from None
    if not header:
        raise PreparationError(f"{label} is empty; a table is expected there")
    for column in columns:
        if column not in header:
            raise PreparationError(f"{label} has no column {column!r}; it has: {', '.join(header[:12])}")
    if first is None:
        raise PreparationError(f"{label} has no rows")


def _short(path: Path, prepared: Path) -> str:
    return path.relative_to(prepared).as_posix()
