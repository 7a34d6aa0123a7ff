"""agent.log: written by the agent itself, watched by the host.

The agent's output goes to the file directly, by a descriptor that it inherits: nothing stands between that could lose
a byte or slow it down. The host only looks at the size, and cuts what is beyond the limit.
"""

import os
import shutil
import stat
from pathlib import Path

from mleb_core.run import now
from mleb_core.runner.remove import remove_tree

__all__ = ["AgentLog"]


class AgentLog:
    """One attempt's part of agent.log. A later attempt adds to what the earlier ones left."""

    def __init__(self, path: Path, limit: int, start: int | None = None) -> None:
        """Open the log for a new attempt, with a line between it and an earlier one.

        Args:
            path: agent.log; anything there that is no regular file is removed.
            limit: bytes that this attempt may write; what is beyond is cut.
            start: size of the log when an earlier attempt, which was not closed, had started;
                the log is then opened to close that attempt only.

        Raises:
            OSError: it cannot be written.
        """
        self.path, self._limit, self._dropped = path, limit, 0
        if not _is_regular(path):
            remove_tree(path)
        self.fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        size = os.fstat(self.fd).st_size
        if start is None and size:
            self._write_line(f"--- another attempt, {now()} ---")
        self.start = os.fstat(self.fd).st_size if start is None else min(max(start, 0), size)

    def watch(self) -> None:
        """Cut what is beyond the limit. The agent writes at the end of the file, wherever that is, and goes on.

        What it writes between the look at the size and the cut goes uncounted.
        """
        excess = os.fstat(self.fd).st_size - self.start - self._limit
        if excess > 0:
            os.ftruncate(self.fd, self.start + self._limit)
            self._dropped += excess

    def drop(self, count: int) -> None:
        """Count bytes that were beyond the limit and have not been written."""
        self._dropped += count

    def close(self) -> tuple[str, str] | None:
        """Finish the log once no process of the run is left.

        Returns:
            The log's name and what is wrong with it, or None.
        """
        try:
            self.watch()
            if self._dropped:
                self._write_line(f"--- cut at {self._limit} bytes; at least {self._dropped} bytes were dropped ---")
            return self._put_back()
        finally:
            os.close(self.fd)

    def _put_back(self) -> tuple[str, str] | None:
        """See that the file still stands under its name: the agent could have moved it."""
        held = os.fstat(self.fd)
        if _is_regular(self.path):
            there = os.lstat(self.path)
            if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
                return None
        remove_tree(self.path)
        with open(self.fd, "rb", closefd=False) as source, self.path.open("xb") as target:
            source.seek(0)
            shutil.copyfileobj(source, target, 1 << 20)
        return self.path.name, "the agent had put something else in its place; the log is whole"

    def _write_line(self, line: str) -> None:
        """Add a line of the host's own, on a line of its own."""
        size = os.fstat(self.fd).st_size
        joint = b"\n" if size and os.pread(self.fd, 1, size - 1) != b"\n" else b""
        os.write(self.fd, joint + line.encode() + b"\n")


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False
