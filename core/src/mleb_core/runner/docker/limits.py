"""What a container may use where the user does not say."""

import os
from dataclasses import dataclass

from mleb_core.run import Limits

__all__ = ["Bounds", "bounds_of"]

_GIB = 1024**3
PROCESSES = 4096
DISK_BYTES = 100 * _GIB
FILES = 2_000_000
"""Files and directories that an agent may have at a time."""
LARGEST_TMP = 16 * _GIB
LARGEST_SHM = 8 * _GIB
HOSTS_SHARE = 0.05
"""Part of the machine's memory that containers without a limit of their own leave to all else, at least 1 GiB."""


@dataclass(frozen=True)
class Bounds:
    """Limits of one container, all of them known."""

    memory_bytes: int
    """Of all its processes, its /tmp and its /dev/shm together; none of it is swapped."""
    tmp_bytes: int
    """Size of /tmp, which lies in memory."""
    shm_bytes: int
    """Size of /dev/shm."""
    processes: int
    """Processes and threads."""
    disk_bytes: int
    """Blocks on disk; also the largest size of one file."""
    files: int = FILES
    """Files and directories."""


def bounds_of(limits: Limits) -> Bounds:
    """A run's limits, with what is sound in place of None."""
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    most = here - max(_GIB, int(here * HOSTS_SHARE))
    memory = limits.memory_bytes if limits.memory_bytes is not None else max(most, here // 2)
    return Bounds(
        memory_bytes=memory,
        tmp_bytes=min(memory // 2, LARGEST_TMP),
        shm_bytes=limits.shm_bytes if limits.shm_bytes is not None else min(memory // 2, LARGEST_SHM),
        processes=limits.processes if limits.processes is not None else PROCESSES,
        disk_bytes=limits.disk_bytes if limits.disk_bytes is not None else DISK_BYTES,
    )
