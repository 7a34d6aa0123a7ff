"""How a grading process limits itself. POSIX; what a system does not have is left out."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

__all__ = ["apply_limits", "has_children", "last_resort", "resident_bytes"]

FILE_BYTES = 64 * 1024**2
"""Largest file that grading code may write."""

_PR_SET_CHILD_SUBREAPER = 36


def apply_limits(memory_bytes: int) -> None:
    """Limit this process: address space (beyond what it has now), file size, no core dumps.

    On Linux it also adopts orphans among its descendants, so that whoever ends it finds them all.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, FILE_BYTES)
    _lower(resource.RLIMIT_AS, _statm(0) + memory_bytes)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def last_resort(seconds: float) -> None:
    """End this process by SIGALRM after that time, even inside C code; 0: never.

    The harness keeps the time. This is for a harness that was killed meanwhile.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def has_children() -> bool:
    """Whether this process has children, running or not yet waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    return _statm(1)


def _statm(field: int) -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[field]) * resource.getpagesize()
    except OSError:
        return 0


def _lower(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS has no RLIMIT_AS worth the name
        resource.setrlimit(kind, (limit, limit))
