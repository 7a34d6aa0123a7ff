"""Watches one agent while it runs: the clock, the memory, the log, the wish to stop."""

import enum
import signal
import time
from collections.abc import Callable

from mleb_core.run import Limits
from mleb_core.runner.agent_log import AgentLog
from mleb_core.runner.processes import ExitWatch, RunProcesses
from mleb_core.runner.protocol import Stop

__all__ = ["End", "Watch"]

_SHORTEST_S, _LONGEST_S, _LIMIT_S = 0.005, 0.1, 1.0
_GROWTH = 8 * 1024**3
"""Bytes a second by which memory may grow: more than programs reach."""
_SHARE = 0.05
"""The largest share of a core that looking may take."""


class End(enum.Enum):
    """Why the watch is over."""

    EXIT = "the main process ended"
    TIME = "time is up"
    MEMORY = "too much memory"
    STOP = "the harness was asked to stop"


class Watch:
    """The watch over one run, for one thread. Kills nothing, except that `ask_to_end` sends a polite signal."""

    def __init__(
        self,
        processes: RunProcesses,
        leaving: ExitWatch,
        log: AgentLog,
        limits: Limits,
        stop: Stop,
        *,
        each_look: Callable[[float], object] = lambda _: None,
    ) -> None:
        """The clock starts now.

        Args:
            processes: of the run.
            leaving: of its main process.
            log: is kept to its limit.
            limits: time and memory.
            stop: ends the watch.
            each_look: called after every look with the seconds since the start; takes little time.
        """
        self._each_look = each_look
        self._processes, self._leaving, self._log, self._limits, self._stop = processes, leaving, log, limits, stop
        self.started = time.monotonic()
        self.used = self.peak = processes.memory(limits.memory_bytes)
        """Memory when last looked at, and the most that was seen; bytes."""

    def until_end(self) -> End:
        """Wait until something ends the run. The end of the main process is noticed at once, all else by looking."""
        deadline = self.started + self._limits.time_s
        pause = _SHORTEST_S
        while True:
            if self._leaving.wait(min(pause, deadline - time.monotonic())):
                return End.EXIT
            before = time.monotonic()
            if before >= deadline:
                return End.TIME
            if end := self._look():
                return end
            pause = self._next_pause(pause, time.monotonic() - before)
            self._each_look(time.monotonic() - self.started)

    def ask_to_end(self) -> None:
        """Ask all processes to end, and wait until they have, or the time for it is over.

        All of them, not the first only: it is often a shell, and what saves its work then is its child.
        """
        end = time.monotonic() + self._limits.grace_s
        self._processes.send(signal.SIGTERM)
        gone = False
        while self._processes.members() and (left := end - time.monotonic()) > 0:
            pause = min(left, _LONGEST_S / 2)
            if gone:
                time.sleep(pause)
            else:
                gone = self._leaving.wait(pause)
            if self._look():
                return
            self._each_look(time.monotonic() - self.started)

    def _look(self) -> End | None:
        if self._stop.is_set():
            return End.STOP
        self._log.watch()
        limit = self._limits.memory_bytes
        self.used = self._processes.memory(limit)
        self.peak = max(self.peak, self.used)
        return End.MEMORY if limit is not None and self.used > limit else None

    def _next_pause(self, pause: float, cost: float) -> float:
        """How long to wait before the next look: little for a young run and near the limit, else little work."""
        pause = min(2 * pause, _LONGEST_S)
        if self._limits.memory_bytes is not None:
            pause = min(pause, max(_SHORTEST_S, (self._limits.memory_bytes - self.used) / _GROWTH))
        return max(pause, min(cost / _SHARE, _LIMIT_S))
