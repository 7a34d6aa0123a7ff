"""What a run uses of processor and memory at an instant, by its control group or its processes.

A meter that cannot be read gives None, never an error: what a run used is told beside its result, and decides nothing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mleb_core.runner.processes import RunProcesses

__all__ = ["Usage", "cgroup_directory", "cgroup_reader", "processes_reader"]


@dataclass(frozen=True)
class Usage:
    """Processor and memory of a run at one instant. None: not known."""

    cpu_s: float | None = None
    """Processor seconds used since the run began; never falls."""
    memory_bytes: int | None = None
    """Memory in use."""


def processes_reader(processes: RunProcesses, limit: int | None = None) -> Callable[[], Usage]:
    """Reads the processes of a run.

    Processor time of processes that nobody waits for is lost when they end, so the time is a lower bound.

    Args:
        processes: of the run; the reader is for their thread.
        limit: memory limit in bytes, as for `RunProcesses.memory`.
    """
    used = before = 0.0

    def read() -> Usage:
        nonlocal used, before
        cpu_s, memory = processes.usage(limit)
        used, before = used + max(0.0, cpu_s - before), cpu_s
        return Usage(used, memory)

    return read


def cgroup_reader(of: int | str, *, proc: Path = Path("/proc")) -> Callable[[], Usage]:
    """Reads a control group, version 1 or 2: quicker than asking Docker.

    Memory is what its processes use and share (anonymous memory and /dev/shm); files that were read do not count.

    Args:
        of: id of a process in it, such as a container's first; or its path beneath the controllers' directories, as
            `/proc/PID/cgroup` has it (/docker/ID). It is looked up once, and can be read until the group is removed.
        proc: where the kernel tells of processes.
    """
    cpu, memory = (cgroup_directory(of, controller, proc) for controller in ("cpuacct", "memory"))
    unified = cgroup_directory(of, "", proc)

    def read() -> Usage:
        return Usage(_cgroup_cpu_s(cpu, unified), _cgroup_memory(memory, unified))

    return read


def cgroup_directory(of: int | str, controller: str, proc: Path = Path("/proc")) -> Path | None:
    """Where a controller keeps the files of a group, given as for `cgroup_reader`; controller "": version 2.

    None: nowhere that is to be seen from here.
    """
    place = of if isinstance(of, str) else None
    if place is None:
        for line in _lines(proc / str(of) / "cgroup"):
            _, names, path = line.split(":", 2)
            if controller in names.split(","):
                place = path
                break
        else:
            return None
    for line in _lines(proc / "self" / "mountinfo"):
        # id parent device root mount options [tags] - type source options
        own, _, of_type = line.partition(" - ")
        root, mount = own.split(" ")[3:5]
        kind, _, options = of_type.split(" ", 2)
        if kind == "cgroup2" if not controller else kind == "cgroup" and controller in options.split(","):
            inside = os.path.relpath(place, root)
            directory = Path(mount.replace("\\040", " "), inside)
            if not inside.startswith("..") and directory.is_dir():
                return directory
    return None


def _cgroup_cpu_s(cpu: Path | None, unified: Path | None) -> float | None:
    if cpu is not None and (nanoseconds := _number(cpu / "cpuacct.usage")) is not None:
        return nanoseconds / 1e9
    if unified is not None and (microseconds := _statistic(unified / "cpu.stat", "usage_usec")) is not None:
        return microseconds / 1e6
    return None


def _cgroup_memory(memory: Path | None, unified: Path | None) -> int | None:
    if memory is not None and (own := _statistic(memory / "memory.stat", "total_rss")) is not None:
        return own + (_statistic(memory / "memory.stat", "total_shmem") or 0)
    if unified is not None and (own := _statistic(unified / "memory.stat", "anon")) is not None:
        return own + (_statistic(unified / "memory.stat", "shmem") or 0)
    return None


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _statistic(path: Path, name: str) -> int | None:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if key == name and value.isdecimal():
            return int(value)
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
