"""Reading what lies in a run group, which others filled: never through a link, no device, never without a limit."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mleb_core.errors import MlebError

__all__ = ["FileProblem", "Listed", "inner", "listing", "open_file", "open_folder", "read", "read_at", "stamp"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe must not hold us up


class FileProblem(MlebError):
    """A file of a run cannot be shown; one line says why."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        """Args:
        message: the line.
        missing: whether it is just not there.
        """
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Listed:
    """A file in a listing."""

    path: str
    """From the listed directory on, with slashes."""
    size: int
    """Bytes."""
    refused: str = ""
    """Why it is not shown: a link, a device; empty where it is."""


def inner(base: Path, path: Path) -> tuple[str, ...]:
    """The names from `base` down to `path`, for the functions below."""
    return path.relative_to(base).parts


def open_folder(base: Path, parts: Sequence[str]) -> int:
    """Open a directory beneath `base`, through no link.

    Raises:
        FileProblem: it is not there, no directory, behind a link, or may not be read.
    """
    try:
        fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parts:
            _check(part)
            try:
                sub = os.open(part, _FOLDER, dir_fd=fd)
            finally:
                os.close(fd)
            fd = sub
        return fd
    except OSError as error:
        raise _problem("/".join(parts) or base.name, error) from None


def open_file(base: Path, parts: Sequence[str]) -> int:
    """Open a regular file beneath `base`, through no link.

    Raises:
        FileProblem: it is not there, no regular file, behind a link, or may not be read.
    """
    *folders, name = parts
    _check(name)
    folder = open_folder(base, folders)
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        raise _problem("/".join(parts), error) from None
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileProblem(f"{'/'.join(parts)} is no regular file, so it is not shown")
    return fd


def read(base: Path, path: Path, most: int) -> bytes:
    """All of a file beneath `base`.

    Args:
        base: the way to it is trusted.
        path: the file.
        most: bytes that it may have.

    Raises:
        FileProblem: as `open_file`, or it is larger.
    """
    fd = open_file(base, inner(base, path))
    with os.fdopen(fd, "rb") as stream:
        if os.fstat(fd).st_size > most:
            raise FileProblem(f"{path.name} has {os.fstat(fd).st_size:,} bytes, more than the {most:,} that are read")
        try:
            return stream.read(most)
        except OSError as error:
            raise _problem(path.name, error) from None


def read_at(folder: int, name: str, most: int) -> bytes | None:
    """All of a file in an open directory; None where it is none that can be read so.

    Raises:
        OSError: it cannot be read, as of missing rights or a broken disk.
    """
    try:
        fd = os.open(name, _FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            return None
        raise
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            return None
        return os.read(fd, status.st_size + 1)  # the buffer is as large as it is asked for
    finally:
        os.close(fd)


def stamp(folder: int, name: str) -> int:
    """What changes when a file in an open directory is written; 0: there is none."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return 0
    return hash((status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode)) or 1


def listing(base: Path, folder: Path, most: int) -> tuple[list[Listed], bool]:
    """The files beneath a directory, by path.

    Args:
        base: the way to it is trusted.
        folder: the directory; may be missing.
        most: files that are listed.

    Returns:
        The files, and whether there are more of them.

    Raises:
        FileProblem: as `open_folder`, but for a missing one.
    """
    found: list[Listed] = []
    try:
        fd = open_folder(base, inner(base, folder))
    except FileProblem as problem:
        if problem.missing:
            return [], False
        raise
    try:
        more = not all(_take(found, entry, most) for entry in _walk(fd, "", depth=0))
    finally:
        os.close(fd)
    return sorted(found, key=lambda file: file.path), more


def _take(found: list[Listed], entry: Listed, most: int) -> bool:
    if len(found) >= most:
        return False
    found.append(entry)
    return True


def _walk(fd: int, prefix: str, depth: int) -> Iterator[Listed]:
    with os.scandir(fd) as entries:
        names = sorted((entry.name for entry in entries), key=os.fsencode)
    for name in names:
        shown = prefix + name
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                if depth >= 64:
                    yield Listed(shown, 0, "too deep")
                    continue
                try:
                    sub = os.open(name, _FOLDER, dir_fd=fd)
                except OSError as error:
                    yield Listed(shown, 0, str(error.strerror))
                    continue
                try:
                    yield from _walk(sub, shown + "/", depth + 1)
                finally:
                    os.close(sub)
            elif stat.S_ISREG(status.st_mode):
                yield Listed(shown, status.st_size, "" if _is_utf8(shown) else "its name is not UTF-8")
            else:
                yield Listed(shown, 0, "a link" if stat.S_ISLNK(status.st_mode) else "no regular file")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name or not _is_utf8(name):
        raise FileProblem(f"{name!r} names no file of a run")


def _problem(name: str, error: OSError) -> FileProblem:
    if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
        return FileProblem(f"{name} is not there", missing=True)
    if error.errno == errno.ELOOP:
        return FileProblem(f"{name} is a link, and links are not followed")
    if error.errno == errno.ENOTDIR:  # also what a link in place of a directory gives
        return FileProblem(f"the way to {name} is a link or a file, so it is not shown")
    return FileProblem(f"{name} cannot be read: {error.strerror or error}")
