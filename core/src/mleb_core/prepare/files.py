# Plain texts and descriptors: a Path for each of a million files would cost more than laying it out.
# ruff: noqa: PTH103
"""Laying out file trees.

How a file comes to its place, the first way that works:

1. a hard link, where nothing written through it can reach somebody else's file: the source is mleb's own raw data,
   which is made read-only first, or is read-only already;
2. a copy by the system (copy_file_range): on btrfs, XFS and the like it shares blocks and is independent afterwards;
3. a copy by reading and writing.

So the user's raw folder is never changed, not even its permissions, unless they say that it may be (`--link-raw`).
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mleb_core.errors import PreparationError
from mleb_core.prepare.checksums import workers

__all__ = ["copy_file", "copy_files", "copy_tree", "files_below"]

Pair = tuple[str, str]
_RUN = 256  # files that one thread lays out in one go
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}
_NO_RANGE = {errno.EXDEV, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}


def copy_file(source: Path, target: Path, *, own: bool = False) -> None:
    """`copy_files` of one."""
    copy_files([(os.fspath(source.absolute()), os.fspath(target.absolute()))], own=own)


def copy_tree(source: Path, target: Path, *, own: bool = False) -> None:
    """Lay out all files below a folder, each at the same place below `target`, which may exist.

    Raises:
        PreparationError: `source` is no folder; or as in `copy_files`.
    """
    if not source.is_dir():
        raise PreparationError(f"{source} is missing; a folder is expected there")
    target.mkdir(parents=True, exist_ok=True)
    base, goal = os.fspath(source), os.fspath(target)
    copy_files([(f"{base}/{path}", f"{goal}/{path}") for path in files_below(source)], own=own)


def files_below(folder: Path) -> list[str]:
    """Relative paths, with slashes, of the files below a folder, sorted. Links count as what they point to."""
    base = os.fspath(folder)
    found: list[str] = []
    pending = [""]
    while pending:
        inner = pending.pop()
        with os.scandir(f"{base}/{inner}") as entries:
            for entry in entries:
                (pending if entry.is_dir() else found).append(f"{inner}{entry.name}{'/' * entry.is_dir()}")
    return sorted(found)


def copy_files(pairs: Iterable[Pair], *, own: bool = False) -> None:
    """Lay out files; missing folders of the targets are made.

    Args:
        pairs: (source, target) paths, each with a slash in it. Sources that are links count as what they point to.
        own: the sources are mleb's own, or given for that: they may be made read-only and hard linked.

    Raises:
        PreparationError: a source is missing or no file, or a target is there already.
        OSError: as the system gives it (no space, no permission).
    """
    groups: dict[Pair, list[Pair]] = {}
    for source, target in pairs:
        source_folder, _, name = source.rpartition("/")
        target_folder, _, new = target.rpartition("/")
        groups.setdefault((source_folder, target_folder), []).append((name, new))
    for folder in {target for _, target in groups}:
        os.makedirs(folder or "/", exist_ok=True)
    runs = [(folders, names[i : i + _RUN]) for folders, names in groups.items() for i in range(0, len(names), _RUN)]
    with ThreadPoolExecutor(workers()) as pool:
        for _ in pool.map(lambda run: _laid_out(run[0], run[1], own), runs):
            pass


def _laid_out(folders: Pair, names: Sequence[Pair], own: bool) -> None:
    """Lay out files of one folder in another; names go to the system relative to the open folders."""
    source, target = folders
    with _folder(source, f"{source}/{names[0][0]}") as from_, _folder(target, target) as to:
        near = os.fstat(from_).st_dev == os.fstat(to).st_dev
        for name, new in names:
            try:
                if not (near and _linked(from_, name, to, new, own)):
                    _copied(from_, name, to, new)
            except FileExistsError:
                raise PreparationError(f"{target}/{new} is made twice") from None
            except FileNotFoundError:
                raise _missing(f"{source}/{name}") from None
            except _Odd as odd:
                raise PreparationError(f"{source}/{name} {odd}") from None
            except OSError as error:
                error.filename = f"{target}/{new}"
                raise


def _linked(from_: int, name: str, to: int, new: str, own: bool) -> bool:
    """Hard link a file, if it may be and can be."""
    mode = os.stat(name, dir_fd=from_, follow_symlinks=False).st_mode
    if not stat.S_ISREG(mode) or (mode & _WRITABLE and not own):
        return False
    try:
        if mode & _WRITABLE:
            os.chmod(name, stat.S_IMODE(mode) & ~_WRITABLE, dir_fd=from_)
        os.link(name, new, src_dir_fd=from_, dst_dir_fd=to)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        return False
    return True


def _copied(from_: int, name: str, to: int, new: str) -> None:
    reader = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=from_)  # a pipe must not keep us waiting
    try:
        status = os.fstat(reader)
        if not stat.S_ISREG(status.st_mode):
            raise _Odd("is no file; a file is expected there")
        writer = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=to)
        try:
            _poured(reader, writer, status.st_size)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _poured(reader: int, writer: int, size: int) -> None:
    done = 0
    while done < size:
        try:
            sent = os.copy_file_range(reader, writer, min(size - done, 1 << 30))
        except (AttributeError, OSError) as error:  # not on this system, or not on this file system
            if isinstance(error, OSError) and error.errno not in _NO_RANGE:
                raise
            with open(reader, "rb", closefd=False) as source, open(writer, "wb", closefd=False) as target:
                shutil.copyfileobj(source, target, 1 << 20)
            return
        if not sent:
            raise _Odd("became shorter while it was read")
        done += sent


class _Odd(Exception):
    """What is wrong with a source, to be told with its path."""


@contextmanager
def _folder(path: str, wanted: str) -> Iterator[int]:
    try:
        handle = os.open(path or "/", os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(wanted) from None
    try:
        yield handle
    finally:
        os.close(handle)


def _missing(source: str) -> PreparationError:
    return PreparationError(f"{source} is missing; a file is expected there")
