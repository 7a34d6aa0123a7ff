"""Copies of a submission while its agent works, for score over time.

`Snapshots.look` is called now and then: where the submission has changed since the last copy, it is copied to
`snapshots/<elapsed seconds>.csv`, and the list `snapshots/snapshots.jsonl` gets a line:

    {"elapsed_s": 600.2, "time": "2026-01-31T12:10:00+00:00", "sha256": "...", "bytes": 1234, "file": "0000600.csv"}

The agent may have put anything in the submission's place, and may change it at any moment. Only a regular file with one
name that held still while it was copied is taken; all else is as if nothing was there. The oldest copies are kept: once
one of the limits is reached, later submissions are listed with `"file": null` and not copied. The last submission is
collected all the same, and it is the one that counts.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mleb_core.layout import RunLayout, remove_unfinished
from mleb_core.run import now
from mleb_core.runner.remove import open_directory, remove_tree

__all__ = ["MAX_COPIES", "MAX_LINES", "Snapshot", "Snapshots", "read_snapshots", "taking_snapshots"]

MAX_COPIES = 1000
"""Copies of one run's submissions."""
MAX_LINES = 10_000
"""Submissions of one run that are listed, copied or not."""

_CHUNK = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SETTLED_NS = 2 * 10**9
"""A file that was written within this time before it was copied may be written again without a newer time."""


@dataclass(frozen=True)
class Snapshot:
    """A line of the list."""

    elapsed_s: float
    """Seconds from the agent's start to the copy."""
    time: str
    """The same by the clock: UTC, ISO 8601."""
    sha256: str
    """Of the submission, in hexadecimal."""
    bytes: int
    """Its size."""
    file: str | None
    """Name of the copy, beside the list; None: it was not copied, as a limit was reached."""


def read_snapshots(layout: RunLayout) -> tuple[Snapshot, ...]:
    """The list of a run's snapshots, oldest first; lines that are none are left out. Empty where there is no list.

    Raises:
        OSError: the list cannot be read.
    """
    try:
        text = layout.snapshot_list.read_bytes()
    except FileNotFoundError:
        return ()
    return tuple(found for line in text.split(b"\n") if (found := _snapshot(line)) is not None)


class Snapshots:
    """Takes the snapshots of one run. Not to be used by several threads at once."""

    def __init__(
        self,
        layout: RunLayout,
        base: Path,
        parts: tuple[str, ...],
        *,
        max_bytes: int,
        max_copies: int = MAX_COPIES,
    ) -> None:
        """Go on where an earlier harness left off: its list is read, what it did not finish is removed. A run that
        starts anew has its `layout.snapshots` removed first (`clear`).

        Args:
            layout: of the run.
            base: a directory; the way to it is trusted.
            parts: names from there to the directory of the submission, each of which the agent could have replaced.
            max_bytes: of all copies together; a larger submission is never copied.
            max_copies: number of copies.

        Raises:
            OSError: the run's directory cannot be read or written.
        """
        self._layout, self._base, self._parts = layout, base, parts
        self._max_bytes, self._max_copies = max_bytes, max_copies
        self._seen: tuple[int, ...] | None = None
        listed = _repaired(layout)
        self._last = listed[-1].sha256 if listed else None
        self._lines = len(listed)
        self._files = {snapshot.file for snapshot in listed if snapshot.file is not None}
        self._bytes = sum(snapshot.bytes for snapshot in listed if snapshot.file is not None)

    @staticmethod
    def clear(layout: RunLayout) -> None:
        """Remove the snapshots of an earlier attempt.

        Raises:
            OSError: something cannot be removed.
        """
        remove_tree(layout.snapshots)

    def look(self, elapsed_s: float) -> Snapshot | None:
        """Copy the submission if it has changed. Costs two system calls a directory where it has not.

        Args:
            elapsed_s: seconds since the agent's start.

        Returns:
            The new line of the list; None where there is nothing new, or nothing that can be taken.

        Raises:
            OSError: the host's side fails: the copy cannot be written, the disk is full. Looking again is fine.
        """
        source = self._changed()
        if source is None:
            return None
        with source:
            return self._taken(source, elapsed_s)

    def _changed(self) -> BinaryIO | None:
        """The submission, opened, if it is not the one seen last; None also where there is none that can be taken."""
        name = self._layout.submission.name
        try:
            folder = _open_beneath(self._base, self._parts)
        except OSError:
            return None
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if _state(status) == self._seen or not _is_plain(status):
                return None
            # Without waiting: what has become a pipe meanwhile must not hold us up.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            source = os.fdopen(os.open(name, flags, dir_fd=folder), "rb", buffering=0)
        except OSError:
            return None
        finally:
            os.close(folder)
        return source

    def _taken(self, source: BinaryIO, elapsed_s: float) -> Snapshot | None:
        before = os.fstat(source.fileno())
        if not _is_plain(before) or before.st_size > self._max_bytes or self._lines >= MAX_LINES:
            return None
        room = len(self._files) < self._max_copies and self._bytes + before.st_size <= self._max_bytes
        draft: BinaryIO | None = None
        path: Path | None = None
        if room:
            self._layout.snapshots.mkdir(exist_ok=True)
            handle, made = tempfile.mkstemp(dir=self._layout.snapshots, prefix=".", suffix=".tmp")
            draft, path = os.fdopen(handle, "wb"), Path(made)
        try:
            with draft or contextlib.nullcontext():
                sha256 = _copied(source, draft, before)
                if sha256 is None:
                    return None  # it changed meanwhile; the next look may find it at rest
                settled = time.time_ns() - max(before.st_mtime_ns, before.st_ctime_ns) > _SETTLED_NS
                self._seen = _state(before) if settled else None
                if sha256 == self._last:
                    return None
                if draft is not None:
                    draft.flush()
                    os.fsync(draft.fileno())
            file = None
            if path is not None:
                file = self._free_name(elapsed_s)
                path.chmod(0o644)
                path = path.rename(self._layout.snapshots / file)
            snapshot = Snapshot(round(elapsed_s, 3), now(), sha256, before.st_size, file)
            self._layout.snapshots.mkdir(exist_ok=True)
            _append(self._layout.snapshot_list, json.dumps(asdict(snapshot)))
            path = None
        except BaseException:
            self._seen = None
            raise
        finally:
            if path is not None:
                path.unlink(missing_ok=True)
        self._last = sha256
        self._lines += 1
        if file is not None:
            self._files.add(file)
            self._bytes += before.st_size
        return snapshot

    def _free_name(self, elapsed_s: float) -> str:
        stem = f"{max(0, int(elapsed_s)):07d}"
        name, number = f"{stem}.csv", 1
        while name in self._files:
            number += 1
            name = f"{stem}-{number}.csv"
        return name


@contextlib.contextmanager
def taking_snapshots(
    snapshots: Snapshots | None,
    every_s: float | None,
    note: Callable[..., object],
    elapsed: Callable[[], float] | None = None,
) -> Iterator[None]:
    """Look every now and then while the context is open, in a thread, and a last time when it closes.

    Args:
        snapshots: who looks; None: nothing is done.
        every_s: seconds between looks; None: nothing is done.
        note: told of each snapshot, from that thread: `note("snapshot", elapsed_s=, sha256=, bytes=, file=)`,
            and once of a copy that the host's side could not write: `note("snapshot_failed", error=)`.
        elapsed: seconds since the agent's start; None: since now.

    Raises:
        OSError: no thread can be started.
        Exception: what `note` raised; no further looks are taken after it.
    """
    if snapshots is None or every_s is None:
        yield
        return
    begun = time.monotonic()
    clock = elapsed or (lambda: time.monotonic() - begun)
    over = threading.Event()
    failed = False
    broken: list[Exception] = []

    def look() -> None:
        nonlocal failed
        try:
            found = snapshots.look(clock())
        except OSError as error:
            if not failed:
                failed = True
                note("snapshot_failed", error=f"{error.filename or 'the snapshot'}: {error.strerror or error}")
            return
        if found is not None:
            note("snapshot", elapsed_s=found.elapsed_s, sha256=found.sha256, bytes=found.bytes, file=found.file)

    def work() -> None:
        try:
            while not over.wait(every_s):
                look()
        except Exception as error:  # raised again where somebody hears it
            broken.append(error)

    thread = threading.Thread(target=work, name="mleb-snapshots", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    try:
        yield
    finally:
        over.set()
        thread.join()
        if broken:
            raise broken[0]
        look()


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


def _is_plain(status: os.stat_result) -> bool:
    """Whether it is a regular file that has one name and holds something."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size > 0


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copied(source: BinaryIO, draft: BinaryIO | None, before: os.stat_result) -> str | None:
    """Copy a file's content and give its sha256; None where the file changed meanwhile or cannot be read."""
    digest = hashlib.sha256()
    left = before.st_size
    while left:
        try:
            chunk = source.read(min(_CHUNK, left))
        except OSError:
            return None
        if not chunk:
            return None
        left -= len(chunk)
        digest.update(chunk)
        if draft is not None:
            draft.write(chunk)
    after = os.fstat(source.fileno())
    return digest.hexdigest() if _state(after) == _state(before) else None


def _snapshot(line: bytes) -> Snapshot | None:
    try:
        value: dict[str, Any] = json.loads(line)
        return Snapshot(**{name: value[name] for name in Snapshot.__dataclass_fields__})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _repaired(layout: RunLayout) -> tuple[Snapshot, ...]:
    """The list, after what a killed harness left half done is removed: drafts, copies without a line, half a line."""
    if not layout.snapshots.is_dir():
        return ()
    remove_unfinished(layout.snapshots)
    with contextlib.suppress(FileNotFoundError), layout.snapshot_list.open("r+b") as stream:
        content = stream.read()
        if not content.endswith(b"\n"):
            stream.truncate(content.rfind(b"\n") + 1)
    listed = read_snapshots(layout)
    known = {snapshot.file for snapshot in listed}
    for path in layout.snapshots.glob("*.csv"):
        if path.name not in known:
            path.unlink(missing_ok=True)
    return listed


def _append(path: Path, line: str) -> None:
    """Add a line, in one write, and flush it to disk; half a line of a full disk is taken back."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(handle).st_size
        data = line.encode() + b"\n"
        try:
            if os.write(handle, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(handle)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
