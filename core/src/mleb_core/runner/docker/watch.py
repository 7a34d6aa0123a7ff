"""Watches one container while it runs: the clock, the disk, the memory, the output, the wish to stop."""

import enum
import time
from collections.abc import Callable

from mleb_core.run import Limits
from mleb_core.runner.docker.cgroup import ControlGroup
from mleb_core.runner.docker.disk import DiskWatch
from mleb_core.runner.docker.leaving import Leaving
from mleb_core.runner.docker.output import Output
from mleb_core.runner.processes import ExitWatch
from mleb_core.runner.protocol import Stop
from mleb_core.runner.resources import ResourceRecorder

__all__ = ["End", "Watch"]

_SHORTEST_S, _LONGEST_S, _BUSY_S = 0.01, 0.5, 0.1


class End(enum.Enum):
    """Why the watch is over."""

    EXIT = "the agent ended"
    TIME = "time is up"
    LIMIT = "a limit that the host keeps"
    STOP = "the harness was asked to stop"


class Watch:
    """The watch over one container, for one thread. Ends nothing itself."""

    def __init__(
        self,
        leaving: Leaving | ExitWatch,
        group: ControlGroup,
        output: Output,
        disk: DiskWatch,
        recorder: ResourceRecorder,
        *,
        memory: Callable[[], int | None],
        elapsed_s: float,
        limits: Limits,
        stop: Stop,
    ) -> None:
        """Args:
        leaving: of the container.
        group: its control group.
        output: is copied.
        disk: is kept to its limits.
        recorder: of what the run uses.
        memory: bytes in use.
        elapsed_s: seconds since the container started.
        limits: time.
        stop: ends the watch.
        """
        self._leaving, self._group, self._output, self._disk = leaving, group, output, disk
        self._memory = memory
        self.recorder = recorder
        """Of what the run uses; not closed by `close`."""
        self._limits, self._stop = limits, stop
        self._started = time.monotonic() - elapsed_s
        self.peak = 0
        """Most memory seen, bytes."""
        self.killed_for_memory = 0
        """Processes that the kernel killed for memory."""
        self.why = ""
        """In the case of LIMIT: which."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the container started."""
        return time.monotonic() - self._started

    def until_end(self) -> End:
        """Wait until something ends the run. The end of the container is noticed at once, all else by looking.

        Raises:
            SandboxError: the engine cannot be asked.
            OSError: the host's side fails, such as a disk that is full.
        """
        pause = _SHORTEST_S
        while True:
            if self._stop.is_set():
                return End.STOP
            left = self._limits.time_s - self.elapsed_s
            if left <= 0:
                # What ended by itself before anyone looked has not run out of time.
                return End.EXIT if self._leaving.wait(0) else End.TIME
            if self._leaving.wait(min(pause, left)):
                return End.EXIT
            busy = self.look()
            if self.why:
                return End.LIMIT
            pause = min(2 * pause, _BUSY_S if busy else _LONGEST_S)

    def until_gone(self, seconds: float, has_had_enough: Callable[[], bool] = lambda: False) -> None:
        """Wait for the end of a container that was asked to end, at most so long.

        Raises:
            SandboxError, OSError: as `until_end`.
        """
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0 and not self._stop.is_set() and not has_had_enough():
            if self._leaving.wait(min(left, _BUSY_S)):
                return
            self.look()
            if self.why:
                return

    def look(self) -> bool:
        """Look at everything once.

        Returns:
            Whether there is more to do soon.

        Raises:
            OSError: the host's side fails.
        """
        more = self._output.copy()
        self.peak = max(self.peak, self._memory() or 0)
        self.killed_for_memory = max(self.killed_for_memory, self._group.killed_for_memory())
        self.why = self.why or self._disk.look() or ""
        self.recorder.sample(self.elapsed_s)
        return more or self._disk.counting

    def close(self) -> None:
        """Let go of what the watch holds; the output stays open."""
        self._leaving.close()
        self._disk.close()
