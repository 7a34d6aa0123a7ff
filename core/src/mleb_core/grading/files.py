"""Opening a submission, which an agent left and which may be anything: a link, a FIFO, a device, 3 TB of nothing."""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mleb_core.errors import GraderError, InvalidSubmissionError

__all__ = ["MAX_BYTES", "fingerprint", "named", "open_submission"]

MAX_BYTES = 2 * 1024**3
"""Largest submission that is read unless told otherwise, in bytes."""


@contextmanager
def open_submission(path: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[io.BufferedReader]:
    """Open a submission for reading, bytes; what is opened is what was checked.

    Raises:
        InvalidSubmissionError: it is missing, a link (never followed), not a regular file, empty, larger than
            `max_bytes` or may not be read.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        problem = {
            errno.ENOENT: "there is no such file",
            errno.ENOTDIR: "there is no such file",
            errno.ELOOP: "it is a symbolic link; hand in the file itself",
            errno.ENXIO: "it is not a regular file; hand in a CSV file",
        }.get(error.errno or 0, f"it cannot be opened: {error.strerror}")
        raise InvalidSubmissionError(f"{named(path)}: {problem}") from None
    try:
        status = os.fstat(handle)
        if wrong := _problem(status, max_bytes):
            raise InvalidSubmissionError(f"{named(path)}: {wrong}")
    except BaseException:
        os.close(handle)
        raise
    with os.fdopen(handle, "rb") as stream:
        yield stream


def fingerprint(path: Path, *, max_bytes: int = MAX_BYTES) -> tuple[str, int]:
    """sha256 in hexadecimal and size in bytes of a submission; read piece by piece, whatever its size.

    Raises:
        InvalidSubmissionError: as in `open_submission`.
        GraderError: the disk failed.
    """
    with open_submission(path, max_bytes=max_bytes) as stream:
        try:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise GraderError(f"{path} cannot be read: {error.strerror or error}; is the disk in order?") from None
        return digest, os.fstat(stream.fileno()).st_size


def named(path: Path) -> str:
    """How messages name a submission: its file name, on one line."""
    return f"submission {path.name!r}"


def _problem(status: os.stat_result, max_bytes: int) -> str | None:
    if stat.S_ISDIR(status.st_mode):
        return "it is a directory; hand in a CSV file"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file; hand in a CSV file"
    if status.st_size == 0:
        return "it is empty; a header and rows are expected"
    if status.st_size > max_bytes:
        return f"it is too large: {status.st_size:,} bytes, at most {max_bytes:,} are read"
    return None
