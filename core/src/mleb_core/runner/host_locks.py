"""Locks that all harnesses of a machine share, whoever runs them, and a queue before them.

A lock is a flock on a small file that stays; it ends with the process that holds it, however that ends. The files lie
in a directory that everybody may write, so each is looked at before it is believed: no links, regular files only.
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from mleb_core.errors import RunnerError

__all__ = ["LockDirectory", "Ticket", "shared_place"]

_MOST_BYTES = 1 << 16
_TRIES = 100
_held: set[int] = set()


def _let_go_in_child() -> None:
    """A forked child keeps no lock: it may outlive its parent. To close is not to unlock; the parent keeps them."""
    for fd in _held:
        with contextlib.suppress(OSError):
            os.close(fd)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


def shared_place(name: str) -> Path:
    """The directory of that name that every harness of this machine means, whatever its user and environment.

    /run/lock is emptied at boot and by nobody else, but belongs to root alone on some systems; then it is /tmp.
    """
    run = Path("/run/lock")
    with contextlib.suppress(OSError):
        if stat.S_IMODE(run.stat().st_mode) & 0o1002 == 0o1002:
            return run / name
    return Path("/tmp") / name  # not TMPDIR, which differs between users


class LockDirectory:
    """A directory of locks. Use as a context manager; it then is the same directory until the end."""

    def __init__(self, path: Path) -> None:
        """Args:
        path: is made if need be; its parent is there.
        """
        self.path = path
        self._fd = -1

    def __enter__(self) -> "LockDirectory":
        """Open it.

        Raises:
            RunnerError: it is no directory that all may use, or cannot be made or read.
        """
        try:
            with contextlib.suppress(FileExistsError):
                self.path.mkdir()
            self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            found = os.fstat(self._fd)
            if stat.S_IMODE(found.st_mode) != 0o1777 and found.st_uid == os.geteuid():
                os.fchmod(self._fd, 0o1777)  # the umask took some; others must be able to lock here too
        except OSError as error:
            self.__exit__()
            raise self._unusable(error.strerror or str(error)) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def lock(self, name: str) -> int | None:
        """Take a lock if it is free.

        Returns:
            What holds it until `release`, or the end of this process; None if somebody else has it.

        Raises:
            RunnerError: there is something else in its place, or no right to it.
        """
        name, fd = _file_name(name), None
        try:
            if (fd := self._open(name)) is None:
                return None
            _held.add(fd)
            if _flock(fd, fcntl.LOCK_EX) and self._is(fd, name):
                kept, fd = fd, None
                return kept
            return None
        except OSError as error:
            raise self._unusable(f"{name}: {error.strerror or error}") from None
        finally:
            if fd is not None:
                _close(fd)

    def release(self, fd: int) -> None:
        """Give a lock back."""
        with contextlib.suppress(OSError):  # the note is for people only
            os.ftruncate(fd, 0)
        # Not only closed: a process that is just being started may have a copy for a moment.
        fcntl.flock(fd, fcntl.LOCK_UN)
        _close(fd)

    def write_note(self, fd: int, note: dict[str, Any]) -> None:
        """Leave word of who holds a lock, for people."""
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(note).encode(), 0)

    def holder(self, name: str) -> dict[str, Any] | None:
        """The note of who holds a lock; None if nobody does. It is others' writing, and perhaps empty."""
        try:
            fd = os.open(_file_name(name), os.O_RDONLY | _SAFE, dir_fd=self._fd)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode) or _flock(fd, fcntl.LOCK_SH):
                return None
            note = _read(fd)
            return note if isinstance(note, dict) else {}
        finally:
            os.close(fd)

    def tickets_before(self, name: str) -> Iterator[Collection[str]]:
        """What those want who stand in the queue before the ticket of that name; the dead are sent away."""
        entries = os.listdir(self._fd)  # noqa: PTH208 - of the open directory
        for other in sorted(entry for entry in entries if entry.startswith(_TICKET) and entry < name):
            try:
                fd = os.open(other, os.O_RDONLY | _SAFE, dir_fd=self._fd)
            except OSError:
                continue
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    continue
                if _flock(fd, fcntl.LOCK_SH):
                    with contextlib.suppress(OSError):  # somebody else's; it does no harm
                        os.unlink(other, dir_fd=self._fd)
                elif isinstance(wanted := _read(fd), list):
                    yield {entry for entry in wanted if isinstance(entry, str)}
            finally:
                os.close(fd)

    def _open(self, name: str) -> int | None:
        for _ in range(_TRIES):
            try:
                # Never O_CREAT on one that is there: Linux refuses that for others' files in such a directory.
                fd = os.open(name, os.O_RDWR | _SAFE, dir_fd=self._fd)
                break
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o666, dir_fd=self._fd)
                    os.fchmod(fd, 0o666)
                    break
        else:
            return None
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(fd)
            raise OSError(0, "not a lock")
        return fd

    def _is(self, fd: int, name: str) -> bool:
        """Whether the file still stands under its name: who locks one that was removed locks nothing."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        return False

    def _unusable(self, why: str) -> RunnerError:
        return RunnerError(f"locks cannot be kept in {self.path}: {why}; remove it, or sudo chmod 1777 {self.path}")


class Ticket:
    """A place in the queue for some names; it ends with its process."""

    def __init__(self, place: LockDirectory, wanted: Iterable[str]) -> None:
        """Stand in line, behind all who do already.

        Args:
            place: open as long as the ticket is.
            wanted: names that are waited for, one or several of them.

        Raises:
            RunnerError: no file can be made there.
        """
        self._place = place
        content = json.dumps(sorted(wanted)).encode()
        while True:
            # The clock counts from boot, the same for all processes.
            self._name = f"{_TICKET}{time.monotonic_ns():020d}-{secrets.token_hex(4)}"
            try:
                self._fd = os.open(self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, 0o644, dir_fd=place._fd)
                _held.add(self._fd)
                os.fchmod(self._fd, 0o644)
                # Somebody may have taken it for a dead one's and sent it away before it was locked.
                if _flock(self._fd, fcntl.LOCK_EX) and os.fstat(self._fd).st_nlink:
                    os.write(self._fd, content)
                    return
            except OSError as error:
                raise place._unusable(error.strerror or str(error)) from None
            self.close()

    def wanted_before(self) -> set[str]:
        """All names that somebody waits for who came earlier."""
        return {name for wanted in self._place.tickets_before(self._name) for name in wanted}

    def close(self) -> None:
        """Leave the queue."""
        with contextlib.suppress(OSError):
            os.unlink(self._name, dir_fd=self._place._fd)
        _close(self._fd)


_TICKET = "wait-"
_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name) + ".lock"


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _close(fd: int) -> None:
    _held.discard(fd)
    os.close(fd)


def _read(fd: int) -> Any:
    try:
        return json.loads(os.pread(fd, _MOST_BYTES, 0))
    except (OSError, ValueError, RecursionError):
        return None
