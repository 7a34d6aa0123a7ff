"""What the kernel counts of a container, where this process sees its control group (both versions of them)."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ControlGroup"]

_ROOT, _PROC = Path("/sys/fs/cgroup"), Path("/proc")


@dataclass(frozen=True)
class ControlGroup:
    """A container's control group of memory; files that are not there read as 0 or nothing."""

    folder: Path | None
    """Its directory; None: not to be seen from here, as on an engine in another machine."""

    @classmethod
    def of(cls, pid: int, container: str, *, root: Path = _ROOT, proc: Path = _PROC) -> "ControlGroup":
        """That of the process `pid`, if it is one of the container `container` (its id).

        Args:
            pid: as this machine numbers it.
            container: the container's id.
            root: where control groups are mounted.
            proc: where the kernel tells of processes.
        """
        with contextlib.suppress(OSError):
            for line in (proc / str(pid) / "cgroup").read_text().splitlines():
                _, controllers, path = line.split(":", 2)
                if container in path and (not controllers or "memory" in controllers.split(",")):
                    folder = root / ("memory" if controllers else "") / path.lstrip("/")
                    if (folder / "cgroup.procs").is_file():
                        return cls(folder)
        return cls(None)

    def killed_for_memory(self) -> int:
        """Processes that the kernel has killed for it."""
        for name in ("memory.events", "memory.oom_control"):
            for key, value in self._pairs(name):
                if key == "oom_kill":
                    return value
        return 0

    def processes(self) -> list[int]:
        """Ids of all processes in it."""
        if self.folder is None:
            return []
        try:
            return [int(word) for word in (self.folder / "cgroup.procs").read_text().split()]
        except (OSError, ValueError):
            return []

    def _pairs(self, name: str) -> list[tuple[str, int]]:
        if self.folder is None:
            return []
        try:
            lines = [line.split() for line in (self.folder / name).read_text().splitlines()]
        except OSError:
            return []
        return [(words[0], int(words[1])) for words in lines if len(words) == 2 and words[1].isdigit()]
