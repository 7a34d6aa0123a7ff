"""Finds the sample submission in the public data and hands it in."""

import gzip
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

__all__ = ["NoSampleError", "find_samples", "hand_in", "is_sample_name"]

MAX_ENTRIES = 20_000
"""Directory entries looked at; image folders hold millions."""


class NoSampleError(Exception):
    """There is no sample submission to hand in; the message is one line."""


def is_sample_name(name: str) -> bool:
    """Whether a file name is one of a sample submission: `sample_submission.csv`, `sampleSubmission.csv`,
    `en_sample_submission_2.csv`, `SampleSubmission.csv.gz`, `sample_submission.csv.zip`, `sample_submission.zip`.
    """
    plain = re.sub(r"[^a-z0-9.]", "", name.lower())
    return re.fullmatch(r".*sample.*sub.*(\.csv|\.csv\.gz|\.csv\.zip|\.zip)", plain) is not None


def find_samples(data: Path) -> list[Path]:
    """Files that hold, or by their name may hold, the sample submission, best first: by name (plain before
    packed, shallow before deep, short names before long ones), then all other zips.
    """
    named: list[tuple[int, int, int, str, Path]] = []
    zips: list[tuple[int, str, Path]] = []
    for path, depth in _files(data):
        if is_sample_name(path.name):
            kind = 0 if path.name.lower().endswith(".csv") else 1
            named.append((depth, kind, len(path.name), path.name, path))
        elif path.suffix.lower() == ".zip":
            zips.append((depth, path.name, path))
    return [item[-1] for item in sorted(named)] + [item[-1] for item in sorted(zips)]


def hand_in(data: Path, submission: Path) -> str:
    """Copy the sample submission to `submission/submission.csv`, unpacked; the file is there whole or not at all.

    Returns:
        Where the sample was, relative to `data`; `archive.zip!member.csv` for a member of an archive.

    Raises:
        NoSampleError: there is none, or none that can be read.
        OSError: the submission cannot be written.
    """
    problems = []
    for path in find_samples(data):
        part = submission / ".submission.csv.part"
        try:
            stream, member = _open(path)
        except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        if stream is None:
            continue
        try:
            with stream, part.open("wb") as target:
                shutil.copyfileobj(stream, target)
        except (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile) as error:
            part.unlink(missing_ok=True)
            problems.append(f"{path.name}: {error}")
            continue
        part.replace(submission / "submission.csv")
        where = path.relative_to(data).as_posix()
        return f"{where}!{member}" if member else where
    if problems:
        raise NoSampleError(f"the sample submission in {data} cannot be read: {'; '.join(problems)}")
    raise NoSampleError(f"there is no sample submission in {data}")


def _open(path: Path) -> tuple[IO[bytes] | None, str]:
    """The bytes of a sample, and the archive member's name; None where a zip holds no sample."""
    name = path.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            members = [n for n in archive.namelist() if not n.startswith("__MACOSX")]
            wanted = [n for n in members if is_sample_name(PurePosixPath(n).name) and n.lower().endswith(".csv")]
            tables = [n for n in members if n.lower().endswith(".csv")]
            if not wanted and is_sample_name(path.name):
                wanted = tables
            if not wanted:
                return None, ""
            member = min(wanted, key=lambda n: (n.count("/"), len(n), n))
            return archive.open(member), member
    if name.endswith(".gz"):
        return cast(IO[bytes], gzip.open(path)), ""
    return path.open("rb"), ""


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """Regular files under `root`, breadth first, three levels deep, with their depth."""
    level, seen = [root], 0
    for depth in range(3):
        deeper: list[Path] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name) if seen < MAX_ENTRIES else []
            except OSError:
                continue  # a folder that cannot be read holds nothing for us; contract.json says what is readable
            for entry in entries:
                seen += 1
                if entry.is_dir(follow_symlinks=True):
                    deeper.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path), depth
        level = deeper
