"""One preparation of a competition at a time, across processes."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["locked"]


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file for the time of the block; the system releases it when the process dies.

    Args:
        path: the lock file; it is made if need be, and stays.
        waiting: called once if somebody else holds it.

    Raises:
        OSError: the file cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    try:
        _lock(handle, waiting)
        yield
    finally:
        os.close(handle)  # lets go of the lock too


def _lock(handle: int, waiting: Callable[[], None]) -> None:
    try:
        import fcntl
    except ImportError:  # not on this system: preparing at the same time is the user's affair
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(handle, fcntl.LOCK_EX)
