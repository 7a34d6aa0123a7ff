"""The functions of `proc_linux` for other systems, by means of psutil."""

import psutil

from mleb_core.runner.proc_linux import Facts

__all__ = ["environment", "facts", "is_marked", "mark", "pids", "prefer_for_oom", "proportional", "resident"]


def pids() -> list[int]:
    """All process ids."""
    return list(psutil.pids())


def facts(pid: int) -> Facts | None:
    """Facts of a process; None if there is none. `started` is in hundredths of a second."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            ended = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
            return Facts(process.ppid(), round(process.create_time() * 100), ended)
    except psutil.Error:
        return None


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and, where the system tells, of its ended children; 0 if there is no such one."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def environment(pid: int) -> bytes:
    """The environment that a process was started with, entries ended by NUL; empty if it may not be read."""
    try:
        entries = psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return b""
    return b"".join(f"{name}={value}\0".encode(errors="surrogateescape") for name, value in entries.items())


def resident(pid: int) -> int:
    """Resident memory in bytes, pages shared with others included; 0 if there is no such process."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def proportional(pid: int) -> int:
    """The same as `resident`: other systems do not tell who shares a page."""
    return resident(pid)


def mark(pid: int, number: int) -> None:
    """Nothing: there is no such mark."""


def is_marked(pid: int, number: int) -> bool:
    """Never."""
    return False


def prefer_for_oom(pid: int) -> None:
    """Nothing."""
