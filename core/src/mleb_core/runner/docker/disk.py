"""Watches what a container's agent has on the host's disk, with little work whatever it does.

The tree is walked a slice at a time and seldom; what is counted is blocks, so a file of holes weighs what it takes. No
link is followed, and one directory at a time is held open. Files that are deleted and still open count as well.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mleb_core.runner.remove import open_directory

__all__ = ["DiskUse", "DiskWatch", "unlinked_bytes"]

MAX_DEPTH = 128
"""Directories in one another."""
FLOOR_BYTES = 2 * 1024**3
"""Free space of the host's disk that agents must leave, or a fiftieth of the disk where that is less."""
FLOOR_CULPRIT = 64 * 1024**2
"""Who has less than this on disk is not ended for it."""
SLICE = 2000
"""Files looked at in one go: some 10 ms."""
SHORTEST_S, SHARE = 1.0, 0.05
_MOST_FDS = 20_000
_GIB = 1024**3


@dataclass
class DiskUse:
    """What the runs of this harness have on disk, so that the right one is ended when the disk is full."""

    bytes: dict[Path, int] = field(default_factory=dict)
    """By the run's directory."""


class DiskWatch:
    """The watch over one run's directories. For one thread."""

    def __init__(
        self,
        places: Iterable[Path],
        *,
        run: Path,
        max_bytes: int,
        max_files: int,
        use: DiskUse,
        processes: Callable[[], Iterable[int]],
    ) -> None:
        """Args:
        places: directories and files; the ways to them are trusted.
        run: the run's directory, for `use`.
        max_bytes: blocks that it may take.
        max_files: files and directories that it may have.
        use: shared by all runs.
        processes: the ids of those of the run, as this machine numbers them.
        """
        self._places, self._run, self._use, self._processes = tuple(places), run, use, processes
        self._max_bytes, self._max_files = max_bytes, max_files
        self._walk: Iterator[None] | None = None
        self._bytes = self._files = self._unlinked = 0
        self._deep = False
        self._cost = 0.0
        self._next = time.monotonic() + SHORTEST_S
        self._device = run.stat().st_dev
        status = os.statvfs(run)
        self._floor = min(FLOOR_BYTES, status.f_blocks * status.f_frsize // 50)
        self.used = 0
        """Bytes when last counted."""

    def look(self) -> str | None:
        """Count a little further.

        Returns:
            What is over its limit, in one line, or None.
        """
        now = time.monotonic()
        if self._walk is None:
            if now < self._next:
                return None
            self._bytes = self._files = 0
            self._cost = 0.0
            self._walk = self._counting()
        ended = next(self._walk, self) is self
        self._cost += time.monotonic() - now
        known = self._bytes + self._unlinked
        if ended:
            self._walk = None
            self._next = time.monotonic() + max(SHORTEST_S, self._cost / SHARE)
            self._unlinked = unlinked_bytes(self._processes(), self._device)
            self.used = known = self._bytes + self._unlinked
        self._use.bytes[self._run] = max(self.used, known)
        return self._objection(known)

    @property
    def counting(self) -> bool:
        """Whether a count is under way."""
        return self._walk is not None

    def close(self) -> None:
        """The run is over."""
        self._walk = None
        self._use.bytes.pop(self._run, None)

    def _objection(self, known: int) -> str | None:
        if known > self._max_bytes:
            return f"disk: more than {self._max_bytes / _GIB:.3g} GiB written"
        if self._files > self._max_files:
            return f"disk: more than {self._max_files} files"
        if self._deep:
            return f"disk: directories nested deeper than {MAX_DEPTH}"
        status = os.statvfs(self._run)
        free = status.f_bavail * status.f_frsize
        if free < self._floor and known >= max(FLOOR_CULPRIT, *list(self._use.bytes.values())):
            return f"disk: the host has {free / _GIB:.3g} GiB left, and this run has written {known / _GIB:.3g} GiB"
        return None

    def _counting(self) -> Iterator[None]:
        for place in self._places:
            yield from self._count(place)

    def _count(self, place: Path) -> Iterator[None]:
        status = os.lstat(place)
        if not stat.S_ISDIR(status.st_mode):
            self._bytes += status.st_blocks * 512
            return
        pending: list[tuple[str, ...]] = [()]
        while pending:
            parts = pending.pop()
            try:
                fd = _open_beneath(place, parts)
            except OSError:
                continue  # gone since, or no directory any more
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        try:
                            status = entry.stat(follow_symlinks=False)
                        except OSError:
                            continue
                        self._bytes += status.st_blocks * 512 // max(1, status.st_nlink if _is_file(status) else 1)
                        self._files += 1
                        if stat.S_ISDIR(status.st_mode):
                            if len(parts) + 1 >= MAX_DEPTH:
                                self._deep = True
                            else:
                                pending.append((*parts, entry.name))
                        if self._files % SLICE == 0:
                            yield
            finally:
                os.close(fd)


def unlinked_bytes(pids: Iterable[int], device: int) -> int:
    """Blocks of files of a device that processes hold open and that have no name any more, where this user may see."""
    found: dict[tuple[int, int], int] = {}
    left = _MOST_FDS
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")[: max(0, left)]  # noqa: PTH208  names alone
        except OSError:
            continue
        left -= len(names)
        for name in names:
            try:
                status = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116  quick
            except OSError:
                continue
            if _is_file(status) and not status.st_nlink and status.st_dev == device:
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def _is_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)


def _open_beneath(base: Path, parts: tuple[str, ...]) -> int:
    fd = open_directory(base)
    for part in parts:
        try:
            sub = open_directory(part, fd)
        finally:
            os.close(fd)
        fd = sub
    return fd
