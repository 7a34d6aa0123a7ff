"""Waits for the end of a container."""

import os
import select
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["Leaving"]

_ASK_EVERY_S = 0.5


class Leaving:
    """Notices at once when a container's first process ends; where that is not of this machine, by asking."""

    def __init__(self, pid: int, container: str, has_ended: Callable[[], bool]) -> None:
        """Args:
        pid: of the container's first process, as the engine gives it.
        container: the container's id.
        has_ended: asks the engine.
        """
        self._has_ended, self._asked = has_ended, time.monotonic()
        self._fd = -1
        try:
            self._fd = os.pidfd_open(pid)
            # Held now, so the number is no other's any more; whose it was is checked after that.
            mine = container in Path(f"/proc/{pid}/cgroup").read_text()
        except (AttributeError, OSError):
            mine = False
        if not mine:
            self.close()
        else:
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLIN)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, at most so long.

        Returns:
            Whether it has ended.

        Raises:
            SandboxError: as `has_ended`.
        """
        if self._fd >= 0:
            return bool(self._poll.poll(max(0.0, timeout_s) * 1000))
        time.sleep(max(0.0, timeout_s))
        if time.monotonic() - self._asked < _ASK_EVERY_S:
            return False
        self._asked = time.monotonic()
        return self._has_ended()

    def close(self) -> None:
        """Let go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
