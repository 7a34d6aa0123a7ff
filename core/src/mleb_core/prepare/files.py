# Plain texts: a Path for each of a million files would cost more than laying it out.
# ruff: noqa: PTH101, PTH103, PTH108, PTH116
"""Laying out file trees.

How a file comes to its place, the first way that works:

1. reflink (FICLONE, on btrfs, XFS and the like): shares blocks, independent afterwards;
2. hard link, where nothing written through it can reach somebody else's file: the source is mleb's own raw data,
   which is made read-only first, or is read-only already;
3. a copy, several at a time.

So the user's raw folder is never changed, not even its permissions.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

from mleb_core.errors import PreparationError
from mleb_core.prepare.checksums import workers

__all__ = ["copy_file", "copy_files", "copy_tree", "files_below"]

Pair = tuple[str, str]
_FICLONE = 0x40049409
_SMALL = 1 << 18  # bytes
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


def copy_file(source: Path, target: Path, *, own: bool = False) -> None:
    """`copy_files` of one."""
    copy_files([(os.fspath(source), os.fspath(target))], own=own)


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
        pairs: (source, target) paths. Sources that are links count as what they point to.
        own: the sources are mleb's own and may be made read-only and hard linked.

    Raises:
        PreparationError: a source is missing or no file, or a target is there already.
        OSError: as the system gives it (no space, no permission).
    """
    pairs = list(pairs)
    for folder in {target.rpartition("/")[0] for _, target in pairs}:
        os.makedirs(folder, exist_ok=True)
    rest = _cloned(pairs)
    rest = _linked(rest, own)
    if len(rest) <= 8:
        for pair in rest:
            _copied(pair)
        return
    size = max(1, min(256, len(rest) // (4 * workers())))
    with ThreadPoolExecutor(workers()) as pool:
        for _ in pool.map(_copied_run, [rest[i : i + size] for i in range(0, len(rest), size)]):
            pass


def _cloned(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """Reflink from the first on; the pairs from the first that the file systems refuse."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return pairs
    for i, (source, target) in enumerate(pairs):
        with _opened(source) as reader, _created(target) as writer:
            try:
                fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
                continue
            except OSError as error:
                os.unlink(target)
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                    raise
        return pairs[i:]
    return ()


def _linked(pairs: Sequence[Pair], own: bool) -> Sequence[Pair]:
    """Hard link what can be; the pairs that are left."""
    left: list[Pair] = []
    possible = True
    for pair in pairs:
        if not possible:
            left.append(pair)
            continue
        source, target = pair
        try:
            status = os.lstat(source)
            if not stat.S_ISREG(status.st_mode):
                left.append(pair)  # a link, or something that the copy will name
                continue
            if status.st_mode & _WRITABLE:
                if not own:
                    left.append(pair)
                    continue
                os.chmod(source, stat.S_IMODE(status.st_mode) & ~_WRITABLE)
            os.link(source, target)
        except FileExistsError:
            raise PreparationError(f"{target} is made twice") from None
        except FileNotFoundError:
            raise _missing(source) from None
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            possible = error.errno == errno.EMLINK
            left.append(pair)
    return left


def _copied_run(pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        _copied(pair)


def _copied(pair: Pair) -> None:
    if _copied_small(*pair):
        return
    with _opened(pair[0]) as reader, _created(pair[1]) as writer:
        size = os.fstat(reader.fileno()).st_size
        try:
            done = 0
            while done < size and (sent := os.sendfile(writer.fileno(), reader.fileno(), done, 1 << 30)):
                done += sent
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSOCK):
                raise
            writer.seek(0)
            writer.truncate()
            shutil.copyfileobj(reader, writer, 1 << 20)


def _copied_small(source: str, target: str) -> bool:
    """Copy a small file in as few calls of the system as can be: they are what many small files cost."""
    try:
        status = os.stat(source)
    except OSError:
        return False  # named by the other way
    if not stat.S_ISREG(status.st_mode) or status.st_size > _SMALL:
        return False
    reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(reader, status.st_size + 1)
    finally:
        os.close(reader)
    if len(data) != status.st_size:
        return False
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise PreparationError(f"{target} is made twice") from None
    try:
        while data:
            data = data[os.write(writer, data) :]
    finally:
        os.close(writer)
    return True


def _opened(source: str) -> FileIO:
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):
            raise PreparationError(f"{source} is no file; a file is expected there")
        return FileIO(source, "rb")
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(source) from None


def _created(target: str) -> FileIO:
    try:
        return FileIO(target, "xb")
    except FileExistsError:
        raise PreparationError(f"{target} is made twice") from None


def _missing(source: str) -> PreparationError:
    return PreparationError(f"{source} is missing; a file is expected there")
