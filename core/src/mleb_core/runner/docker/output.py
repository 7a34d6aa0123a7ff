"""Copies what an agent prints to agent.log, where it cannot take it back.

In the container the output ends in a file of the run's place. How much of it is copied follows from the size of
agent.log alone, so a harness that takes the run up loses no byte and doubles none.
"""

import ctypes
import os
from pathlib import Path

from mleb_core.runner.agent_log import AgentLog

__all__ = ["Output"]

_CHUNK = 1 << 20
_MOST = 64 * _CHUNK
"""Copied at a time, so that an agent that prints without end does not hold up its own watch."""
_HOLE = 16 * _CHUNK
_KEEP_SIZE, _PUNCH_HOLE = 1, 2


class Output:
    """One attempt's output. For one thread."""

    def __init__(self, source: Path, path: Path, limit: int, start: int | None = None) -> None:
        """Args:
        source: the file in the run's place.
        path: agent.log.
        limit: bytes that are kept.
        start: size of agent.log when the attempt began, where an earlier harness began it.

        Raises:
            OSError: as `AgentLog`, or the source is not there.
        """
        self._source = os.open(source, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._log = AgentLog(path, limit, start)
        except BaseException:
            os.close(self._source)
            raise
        self._limit, self._freed = limit, 0
        self.start = self._log.start

    def copy(self) -> bool:
        """Copy what is new, up to a certain amount.

        Returns:
            Whether there is more.

        Raises:
            OSError: agent.log cannot be written.
        """
        copied = self._copied()
        end = min(os.fstat(self._source).st_size, self._limit)
        stop = min(end, copied + _MOST)
        while copied < stop and (chunk := os.pread(self._source, min(_CHUNK, stop - copied), copied)):
            view = memoryview(chunk)
            while view:
                view = view[os.write(self._log.fd, view) :]
            copied += len(chunk)
        self._free(copied)
        return copied < end

    def close(self) -> list[tuple[str, str]]:
        """Copy the rest and finish; no process of the run is left.

        Returns:
            What is wrong, each a name and why.

        Raises:
            OSError: agent.log cannot be written.
        """
        wrong = []
        try:
            while self.copy():
                pass
            size, copied = os.fstat(self._source).st_size, self._copied()
            if size < copied:
                wrong.append((self._log.path.name, "the agent had cut its output; what had been copied before is kept"))
            self._log.drop(max(0, size - self._limit))
        finally:
            self.leave()
            complaint = self._log.close()
        return [*wrong, complaint] if complaint else wrong

    def abandon(self) -> None:
        """Close the files and add nothing: the attempt is lost, or goes on without this harness."""
        self.leave()
        os.close(self._log.fd)

    def leave(self) -> None:
        """Close the source."""
        if self._source >= 0:
            os.close(self._source)
            self._source = -1

    def _copied(self) -> int:
        return max(0, os.fstat(self._log.fd).st_size - self.start)

    def _free(self, copied: int) -> None:
        """Give the blocks of what is copied back, now and then; the file keeps its size."""
        until = copied if os.fstat(self._source).st_size <= self._limit else os.fstat(self._source).st_size
        until -= until % 4096
        if until - self._freed >= _HOLE:
            punch(self._source, self._freed, until - self._freed)
            self._freed = until


def punch(fd: int, offset: int, length: int) -> None:
    """Free a part of a file that reads as zeros from then on; a file system that cannot is left as it is."""
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    except (AttributeError, OSError):
        return  # not Linux
    fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_int64(offset), ctypes.c_int64(length))
