"""Collection of what an agent left: regular files only, whatever it put there.

Nothing is opened by a path that an agent could bend: from a directory that the harness holds open, name by name,
never through a link. A file that is ours and has one name is moved, any other is copied.
"""

import errno
import itertools
import os
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mleb_core.runner.remove import open_directory, remove_tree

__all__ = ["MAX_DEPTH", "MAX_FILES", "MAX_REFUSED", "Collector"]

MAX_FILES = 100_000
"""Files and directories that are collected from one run."""
MAX_DEPTH = 64
"""Directories in one another."""
MAX_PATH = 1024
"""Bytes of a path, from the collected directory on."""
MAX_REFUSED = 50
"""Refusals that are named; the rest is counted."""

_CHUNK = 1 << 20
_SHOWN = 200
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_REFUSED_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass
class Collector:
    """Collects directories of one run under common limits. Not to be used by several threads at once."""

    max_bytes: int
    """Largest total size; a file with holes counts with the size that it shows."""
    max_files: int = MAX_FILES
    """Largest number of files and directories."""
    _bytes: int = 0
    _entries: int = 0
    _refused: list[str] = field(default_factory=list)
    _refused_further: int = 0
    _links: dict[tuple[int, int], list[tuple["_Place", str, os.stat_result]]] = field(default_factory=dict)

    @property
    def refused(self) -> tuple[str, ...]:
        """What was not collected, each `path: why`, at most `MAX_REFUSED` and a line that counts the rest."""
        further = [f"{self._refused_further} more were refused"] if self._refused_further else []
        return (*self._refused, *further)

    def refuse(self, path: str, why: str) -> None:
        """Note that something was not collected."""
        if len(self._refused) < MAX_REFUSED:
            self._refused.append(f"{_printable(path)}: {why}")
        else:
            self._refused_further += 1

    def collect(self, base: Path, parts: tuple[str, ...], target: Path, first: str | None = None) -> None:
        """Collect the directory base/parts into `target`, which is made and must not be there.

        A file with several names is put off until `finish`: only then is known where its other names are.

        Args:
            base: a directory; the way to it is trusted.
            parts: names from there on, each of which the agent could have replaced.
            target: where to; its last name is what refusals call the directory.
            first: name of a file that is collected before all others, so that no limit is used up by them.

        Raises:
            OSError: the harness's side fails: `target` cannot be written, the disk is full.
        """
        target.mkdir()
        try:
            source_fd = _open_beneath(base, parts)
        except FileNotFoundError:
            return  # the agent removed it; there is nothing to collect
        except OSError as error:
            self.refuse(target.name, f"not a directory that can be read ({error.strerror})")
            return
        try:
            self._walk(_Place(base, parts, target), source_fd, first)
        finally:
            os.close(source_fd)

    def finish(self) -> None:
        """Collect the files with several names that have all of them in what was collected; refuse the others.

        Raises:
            OSError: as `collect`.
        """
        links, self._links = self._links, {}
        for group in links.values():
            for place, name, status in group:
                if len(group) < status.st_nlink:
                    self.refuse(place.shown(name), "a hard link to a file elsewhere")
                    continue
                try:
                    source_fd = _open_beneath(place.base, place.parts)
                except OSError as error:
                    self.refuse(place.shown(name), f"cannot be read ({error.strerror})")
                    continue
                target_fd = os.open(place.target, _DIRECTORY)
                try:
                    self._copy(place, name, status, source_fd, target_fd)
                finally:
                    os.close(target_fd)
                    os.close(source_fd)

    def _walk(self, place: "_Place", source_fd: int, first: str | None = None) -> None:
        target_fd = os.open(place.target, _DIRECTORY)
        try:
            os.fchmod(target_fd, 0o755)
            for name in self._names(place, source_fd, first):
                status = _lstat(source_fd, name)
                if status is None:
                    continue
                self._entries += 1
                if why := self._objection(place, name, status):
                    self.refuse(place.shown(name), why)
                elif stat.S_ISDIR(status.st_mode):
                    self._descend(place, name, source_fd, target_fd)
                elif status.st_nlink > 1:
                    self._links.setdefault((status.st_dev, status.st_ino), []).append((place, name, status))
                elif status.st_uid != os.geteuid() or not self._move(place, name, status, source_fd, target_fd):
                    self._copy(place, name, status, source_fd, target_fd)
        finally:
            os.close(target_fd)

    def _names(self, place: "_Place", source_fd: int, first: str | None) -> Iterator[str]:
        """Names in a directory, sorted, `first` first; as many as the limit on files still allows."""
        if first is not None:
            yield first
        left = max(0, self.max_files - self._entries)
        with os.scandir(source_fd) as entries:
            names = [entry.name for entry in itertools.islice(entries, left + 1)]
        if len(names) > left:
            self.refuse(place.shown(), f"holds files beyond the limit of {self.max_files} in all; some were left out")
        for name in sorted(names)[:left]:
            if name != first and self._entries < self.max_files:
                yield name

    def _objection(self, place: "_Place", name: str, status: os.stat_result) -> str | None:
        """Why something is not collected; None if it is."""
        mode, left = status.st_mode, self.max_bytes - self._bytes
        if not _is_sound(name):
            return "its name is not UTF-8 text without control characters"
        if kind := next((kind for test, kind in _REFUSED_KINDS if test(mode)), None):
            return kind
        if len(place.shown(name).encode()) > MAX_PATH:
            return f"its path is longer than {MAX_PATH} bytes"
        if stat.S_ISDIR(mode):
            return f"deeper than {MAX_DEPTH} directories" if place.depth >= MAX_DEPTH else None
        if not stat.S_ISREG(mode):
            return "not a regular file"
        if status.st_size > left:
            return f"too large: {status.st_size} bytes, {left} left of {self.max_bytes} for the whole run"
        return None

    def _descend(self, place: "_Place", name: str, source_fd: int, target_fd: int) -> None:
        try:
            sub_fd = open_directory(name, source_fd)
        except OSError as error:
            self.refuse(place.shown(name), f"not a directory that can be read ({error.strerror})")
            return
        try:
            os.mkdir(name, dir_fd=target_fd)
            self._walk(place.down(name), sub_fd)
        finally:
            os.close(sub_fd)

    def _move(self, place: "_Place", name: str, status: os.stat_result, source_fd: int, target_fd: int) -> bool:
        """Move a file of ours; False if it must be copied, since it lies on another file system."""
        try:
            os.rename(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EACCES, errno.EPERM):
                return False
            if error.errno == errno.ENOENT:
                return True  # gone since it was listed
            raise
        moved = os.stat(name, dir_fd=target_fd, follow_symlinks=False)
        if (moved.st_dev, moved.st_ino, moved.st_size, moved.st_nlink) != _identity(status):
            remove_tree(place.target_of(name))
            self.refuse(place.shown(name), "it changed while it was collected")
            return True
        os.chmod(name, _mode(status), dir_fd=target_fd)
        self._bytes += moved.st_size
        return True

    def _copy(self, place: "_Place", name: str, status: os.stat_result, source_fd: int, target_fd: int) -> None:
        """Copy a file's content; not more of it than it showed before."""
        if why := self._objection(place, name, status):  # the limit may have been used up since
            self.refuse(place.shown(name), why)
            return
        try:
            # Without waiting: what has become a pipe meanwhile must not hold us up.
            source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source_fd)
        except OSError as error:
            self.refuse(place.shown(name), f"cannot be read ({error.strerror})")
            return
        try:
            opened = os.fstat(source)
            if (opened.st_dev, opened.st_ino, opened.st_size, opened.st_nlink) != _identity(status):
                self.refuse(place.shown(name), "it changed while it was collected")
                return
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            copy = os.open(name, flags, 0o600, dir_fd=target_fd)
            try:
                left = opened.st_size
                while left and (chunk := os.read(source, min(_CHUNK, left))):
                    left -= len(chunk)
                    _write_all(copy, chunk)
                os.fchmod(copy, _mode(status))
            finally:
                os.close(copy)
        finally:
            os.close(source)
        self._bytes += opened.st_size


@dataclass(frozen=True)
class _Place:
    """A directory that is being collected."""

    base: Path
    parts: tuple[str, ...]
    target: Path
    root: str = ""
    """How refusals write it; empty for the uppermost, which is called by its target's name."""
    depth: int = 0

    def shown(self, name: str = "") -> str:
        root = self.root or self.target.name
        return f"{root}/{name}" if name else root

    def down(self, name: str) -> "_Place":
        return _Place(self.base, (*self.parts, name), self.target_of(name), self.shown(name), self.depth + 1)

    def target_of(self, name: str) -> Path:
        return self.target / name


def _open_beneath(base: Path, parts: tuple[str, ...]) -> int:
    """Open base/parts, following no link beneath `base`."""
    fd = os.open(base, _DIRECTORY)
    for part in parts:
        try:
            sub = open_directory(part, fd)
        finally:
            os.close(fd)
        fd = sub
    return fd


def _lstat(dir_fd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_nlink


def _mode(status: os.stat_result) -> int:
    return 0o755 if status.st_mode & 0o111 else 0o644


def _is_sound(name: str) -> bool:
    return not any(unicodedata.category(c) in ("Cc", "Cs") for c in name)


def _printable(path: str) -> str:
    """A path for a line of text: as it is, or as Python writes it where it holds what a line cannot."""
    shown = path if _is_sound(path) else ascii(path)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _write_all(fd: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(fd, view) :]
