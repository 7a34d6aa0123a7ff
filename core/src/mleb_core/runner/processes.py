"""All processes of one run: found, measured, signalled, killed; and never one that is not of the run.

A process is of the run if
- it has the run's mark (`proc_linux.mark`), which is inherited whatever a process does, or
- it was started with MLEB_RUN_ID of the run in its environment, or
- it was seen to be of the run before: same process id, same time of start, or
- its parent is of the run, or a process of its session is: the run has sessions of its own only.

Thus daemons that left session and parents are found too, by two inherited properties that do not depend on one
another. A process id alone never names a process here: the time of start goes with it, since ids are used again.
"""

import contextlib
import os
import secrets
import select
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mleb_core.errors import SandboxError

if sys.platform == "linux":
    from mleb_core.runner import proc_linux as proc
else:
    from mleb_core.runner import proc_psutil as proc

__all__ = ["ExitWatch", "RunProcesses"]

_PATIENCE_S = 60.0


class RunProcesses:
    """The processes of one run. For one thread at a time."""

    def __init__(self, marker: str | None = None) -> None:
        """Args:
        marker: MLEB_RUN_ID of the run; None: a new one.
        """
        self.marker = marker or secrets.token_hex(16)
        self._number = int(self.marker[:15], 16) + 1
        self._entry = f"MLEB_RUN_ID={self.marker}".encode()
        self._known: dict[int, int] = {}
        self._main: int | None = None
        self._earliest = 0

    def adopt(self, pid: int) -> None:
        """Take the run's first process, a child of ours that was just started and has a session of its own.

        It must not be reaped as long as this object is used: that keeps its process and session id from being
        given to others.
        """
        self._main = pid
        proc.mark(pid, self._number)
        proc.prefer_for_oom(pid)
        if found := proc.facts(pid):
            self._known[pid] = self._earliest = found.started

    @property
    def record(self) -> dict[str, Any]:
        """What another harness needs to find these processes later, for JSON."""
        return {"run_id": self.marker, "boot": _boot_id(), "known": [[*item] for item in self._known.items()]}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "RunProcesses | None":
        """The processes that a record speaks of; None if the machine was started anew since: none is left.

        Raises:
            ValueError, KeyError, TypeError: not a record.
        """
        found = cls(_checked_marker(record["run_id"]))
        if record["boot"] != _boot_id():
            return None
        found._known = {int(pid): int(started) for pid, started in record["known"]}
        return found

    def members(self) -> dict[int, int]:
        """All living processes of the run, ended ones that nobody has asked for left out.

        Returns:
            Time of start by process id.
        """
        own = os.getsid(0)
        candidates: dict[int, proc.Facts] = {}
        session_of: dict[int, int] = {}
        members: set[int] = set()
        sessions = {self._main} if self._main is not None else set()
        for pid in proc.pids():
            session = _session(pid)
            # Session 0: the kernel's own threads, and processes from outside of this container.
            if session in (0, own):
                continue
            found = proc.facts(pid)
            if found is None or found.ended or found.started < self._earliest:
                continue
            candidates[pid], session_of[pid] = found, session
            if self._known.get(pid) == found.started or proc.is_marked(pid, self._number) or self._named(pid):
                members.add(pid)
        while True:
            sessions |= {session_of[pid] for pid in members}
            further = {
                pid
                for pid, found in candidates.items()
                if pid not in members and (session_of[pid] in sessions or found.parent in members)
            }
            if not further:
                break
            members |= further
        living = {pid: candidates[pid].started for pid in members}
        self._known.update(living)
        return living

    def memory(self, limit: int | None) -> int:
        """Resident memory of all processes together, in bytes.

        Pages that several processes share count in each of them as long as the sum is within `limit`; past it
        they are counted once, which takes longer to find out: workers that were forked from a large process
        must not be killed for memory that is there only once.
        """
        return _memory(self._seen(), limit)

    def usage(self, limit: int | None) -> tuple[float, int]:
        """Processor seconds of living processes and of ended ones that their parents asked for; and `memory`."""
        pids = self._seen()
        return sum(map(proc.cpu_s, pids)), _memory(pids, limit)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to every process of the run."""
        for pid, started in self.members().items():
            _send(pid, started, number)

    def kill(self) -> None:
        """Kill every process of the run and return when none is left.

        Raises:
            SandboxError: a process does not end within a minute, or cannot be killed by this user.
        """
        if self._main is not None:
            # In one stroke, which not even processes that fork without end can outrun.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._main, signal.SIGKILL)
        end, pause = time.monotonic() + _PATIENCE_S, 0.0005
        while members := self.members():
            for pid, started in members.items():
                _send(pid, started, signal.SIGKILL)
            if time.monotonic() > end:
                raise SandboxError(
                    f"process {min(members)} of the run cannot be killed; end it by hand, then start the run again"
                )
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _seen(self) -> list[int]:
        """The processes of the run but for those that hide, at little cost."""
        return [pid for pid in proc.pids() if _session(pid) == self._main or proc.is_marked(pid, self._number)]

    def _named(self, pid: int) -> bool:
        return self._entry in proc.environment(pid).split(b"\0")


class ExitWatch:
    """Waits for the end of a child process without reaping it, so that its process id stays taken."""

    def __init__(self, pid: int) -> None:
        """Args:
        pid: a child of this process.
        """
        self._pid = pid
        self._thread: threading.Thread | None = None
        try:
            self._fd = os.pidfd_open(pid)
        except (AttributeError, OSError):  # before Linux 5.3, and elsewhere
            self._fd, self._write_fd = os.pipe()
            self._thread = threading.Thread(target=self._wait_in_thread, name=f"mleb-wait-{pid}", daemon=True)
            self._thread.start()
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the process, at most so long.

        Returns:
            Whether it has ended.
        """
        return bool(self._poll.poll(max(0.0, timeout_s) * 1000))

    def close(self) -> None:
        """Let go; the process has ended."""
        if self._thread is not None:
            self._thread.join()
        os.close(self._fd)

    def _wait_in_thread(self) -> None:
        try:
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        finally:
            os.close(self._write_fd)


def _memory(pids: list[int], limit: int | None) -> int:
    used = sum(map(proc.resident, pids))
    return used if limit is None or used <= limit else sum(map(proc.proportional, pids))


def _send(pid: int, started: int, number: signal.Signals) -> None:
    """Send a signal to the process of that id and start, and to no other."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        handle = None
    try:
        # The handle holds on to the process, so that what is checked is what gets the signal.
        found = proc.facts(pid)
        if found is None or found.started != started:
            return
        if handle is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        return  # gone meanwhile; or another user's, which `kill` reports once its patience ends
    finally:
        if handle is not None:
            os.close(handle)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _boot_id() -> str:
    """Names the time since the machine was last started; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _checked_marker(marker: Any) -> str:
    if not isinstance(marker, str) or len(marker) != 32:
        raise ValueError("not a run id")
    int(marker, 16)
    return marker
