"""Control groups of the harness's own making, where it may make some: limits that the kernel keeps.

Version 1: a group beneath the harness's own, for each controller. Version 2: a group beneath the harness's own or
beside it, wherever memory and pids are handed down; systemd gives users such a place.
"""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from mleb_core.runner.docker.cgroup import ControlGroup
from mleb_core.runner.docker.limits import Bounds
from mleb_core.runner.meters import cgroup_directory

__all__ = ["Groups", "find_places"]

_PERIOD_US = 100_000
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Places:
    """Directories in which groups can be made."""

    memory: Path
    """For memory; version 2: for all."""
    processes: Path
    """For the number of processes."""
    processor: Path | None
    """For the processor; None: its use cannot be limited."""
    unified: bool
    """Whether control groups are of version 2."""


def find_places(own: int | str | None = None, proc: Path = Path("/proc")) -> Places | None:
    """Where this process may make control groups; None: nowhere. Makes nothing.

    Args:
        own: whose group they are to stand in; None: this process's.
        proc: where the kernel tells of processes.
    """
    own = os.getpid() if own is None else own
    unified = cgroup_directory(own, "", proc)
    for folder in (unified, unified.parent) if unified is not None else ():
        handed = _words(folder / "cgroup.subtree_control")
        if {"memory", "pids"} <= handed and _may(folder) and os.access(folder / "cgroup.procs", os.W_OK):
            return Places(folder, folder, folder if "cpu" in handed else None, unified=True)
    memory, processes, processor = (cgroup_directory(own, name, proc) for name in ("memory", "pids", "cpu"))
    if memory is None or processes is None or not (_may(memory) and _may(processes)):
        return None
    return Places(memory, processes, processor if processor is not None and _may(processor) else None, unified=False)


class Groups:
    """The control groups of one run."""

    def __init__(self, places: Places, name: str) -> None:
        """Args:
        places: where they can be made.
        name: of the run's; the same for every attempt, so that what a dead harness left is found.
        """
        self._places = places
        self.memory = places.memory / name
        """The group that limits memory."""
        folders = [self.memory, places.processes / name, *([places.processor / name] if places.processor else [])]
        self._folders = list(dict.fromkeys(folders))

    def make(self, bounds: Bounds, cpus: float | None) -> None:
        """Make them, with limits.

        Raises:
            OSError: one cannot be made or set.
        """
        self.remove()
        quota = None if cpus is None else round(cpus * _PERIOD_US)
        for folder in self._folders:
            folder.mkdir()
        if self._places.unified:
            (self.memory / "memory.max").write_text(str(bounds.memory_bytes))
            _if_there(self.memory / "memory.swap.max", "0")
            if quota is not None:
                (self.memory / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        else:
            (self.memory / "memory.limit_in_bytes").write_text(str(bounds.memory_bytes))
            _if_there(self.memory / "memory.memsw.limit_in_bytes", str(bounds.memory_bytes))
            if quota is not None:
                (self._folders[-1] / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
                (self._folders[-1] / "cpu.cfs_quota_us").write_text(str(quota))
        (self._folders[0 if self._places.unified else 1] / "pids.max").write_text(str(bounds.processes))

    def take(self, pid: int) -> None:
        """Put a process in; all that it starts from then on is in, too.

        Raises:
            OSError: it cannot be.
        """
        for folder in self._folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def control_group(self) -> ControlGroup:
        """What the kernel counts."""
        return ControlGroup(self.memory)

    def remove(self) -> None:
        """Remove them; no process is left in them, or is about to be.

        Raises:
            OSError: one cannot be removed.
        """
        ends = time.monotonic() + _PATIENCE_S
        for folder in self._folders:
            while True:
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:  # the kernel is still clearing up
                    if time.monotonic() > ends:
                        raise
                    time.sleep(0.002)


def _may(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)


def _words(path: Path) -> set[str]:
    try:
        return set(path.read_text().split())
    except OSError:
        return set()


def _if_there(path: Path, value: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.write_text(value)
