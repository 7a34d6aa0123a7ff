"""What Linux tells about processes, from /proc, with few system calls.

psutil would do, but takes longer to import than a run may cost, and knows no mark.
"""

import contextlib
import os
import resource
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Facts",
    "cpu_s",
    "environment",
    "facts",
    "is_marked",
    "mark",
    "pids",
    "prefer_for_oom",
    "proportional",
    "resident",
]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_RLIMIT_LOCKS = 10
_ENDED = ("Z", "X", "x")


class Facts(NamedTuple):
    """A process at one instant."""

    parent: int
    """Parent's process id."""
    started: int
    """When it started, in clock ticks since boot; with the process id it names a process for good."""
    ended: bool
    """Whether it runs no more and only waits for its parent to ask (a zombie)."""


def pids() -> list[int]:
    """All process ids."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 - a thousand Path objects a look


def facts(pid: int) -> Facts | None:
    """Facts of a process; None if there is none."""
    content = _read(f"/proc/{pid}/stat")
    # The name, in brackets, may itself hold brackets and blanks.
    fields = content[content.rfind(b")") + 2 :].decode().split()
    if len(fields) < 20:
        return None
    # A process whose first thread has ended looks like a zombie while its other threads go on.
    return Facts(int(fields[1]), int(fields[19]), fields[0] in _ENDED and int(fields[17]) <= 1)


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and of its ended children that it has asked for; 0 if there is no such process."""
    content = _read(f"/proc/{pid}/stat")
    fields = content[content.rfind(b")") + 2 :].split()
    return sum(map(int, fields[11:15])) / _TICKS if len(fields) >= 15 else 0.0


def environment(pid: int) -> bytes:
    """The environment that a process was started with, entries ended by NUL; empty if it may not be read."""
    return _read(f"/proc/{pid}/environ")


def resident(pid: int) -> int:
    """Resident memory in bytes, pages shared with others included; 0 if there is no such process."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if len(fields) > 1 else 0


def proportional(pid: int) -> int:
    """Resident memory in bytes, each shared page divided by the number of its users."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return resident(pid)


def mark(pid: int, number: int) -> None:
    """Put a number on a process that all processes it starts from then on inherit, whatever they do otherwise.

    It is the soft limit on file locks, which Linux keeps for each process but has not heeded since 2.4.25.
    An environment can be cleared and a session left; nobody touches this. Where it cannot be set it is left out.
    """
    with contextlib.suppress(OSError, ValueError):
        hard = resource.prlimit(pid, _RLIMIT_LOCKS)[1]
        resource.prlimit(pid, _RLIMIT_LOCKS, (number, hard))


def is_marked(pid: int, number: int) -> bool:
    """Whether a process has the mark."""
    try:
        return resource.prlimit(pid, _RLIMIT_LOCKS)[0] == number
    except OSError:
        return False


def prefer_for_oom(pid: int) -> None:
    """If the machine runs out of memory, let the kernel take this process and its children, not the harness."""
    # The process may be gone, or the system may not allow it; nothing is lost by that.
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_bytes(b"1000")


def _read(path: str) -> bytes:
    """A file of /proc; empty if the process is gone or somebody else's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    parts = []
    try:
        while part := os.read(fd, 1 << 16):
            parts.append(part)
    except OSError:
        return b""
    finally:
        os.close(fd)
    return b"".join(parts)
