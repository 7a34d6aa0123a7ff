"""Checksums of files and trees."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FileSum", "md5_of", "sha256_of", "tree_sums", "workers"]

_WHOLE = 1 << 20  # files up to this size are read in one call


@dataclass(frozen=True)
class FileSum:
    """What a file holds, in short."""

    sha256: str
    """Hexadecimal."""
    bytes: int
    """Size."""


def workers() -> int:
    """How many threads to use: one for each processor this process may use, at most 16."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def md5_of(path: Path) -> str:
    """md5 of a file, hexadecimal. For comparison with published sums only."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256_of(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    return _sum(os.fspath(path)).sha256


def tree_sums(root: Path) -> dict[str, FileSum]:
    """The regular files below a folder, by relative path with slashes, sorted; read by several threads.

    Raises:
        OSError: a file cannot be read.
    """
    base = os.fspath(root)
    paths = sorted(_files(base))
    with ThreadPoolExecutor(workers()) as pool:
        # Each task is a run of files: a task for each of a million small files would cost more than the sums.
        size = max(1, min(256, len(paths) // (4 * workers())))
        runs = [paths[i : i + size] for i in range(0, len(paths), size)]
        sums = [one for run in pool.map(_sums, runs) for one in run]
    return {path[len(base) + 1 :].replace(os.sep, "/"): one for path, one in zip(paths, sums, strict=True)}


def _files(folder: str) -> list[str]:
    found: list[str] = []
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file():
                    found.append(entry.path)
    return found


def _sums(paths: list[str]) -> list[FileSum]:
    return [_sum(path) for path in paths]


def _sum(path: str) -> FileSum:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        size = os.fstat(handle).st_size
        if size <= _WHOLE:
            data = os.read(handle, size + 1)
            if len(data) == size:
                return FileSum(hashlib.sha256(data).hexdigest(), size)
        os.lseek(handle, 0, os.SEEK_SET)
        with open(handle, "rb", closefd=False, buffering=0) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return FileSum(digest, stream.tell())
    finally:
        os.close(handle)
