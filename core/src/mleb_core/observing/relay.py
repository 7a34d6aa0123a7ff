"""The harness's side of observers: each is a process of its own, fed through a queue that nobody ever waits for.

An observer that fails, hangs, crashes or is slow costs a line in the user's terminal and nothing else: runs are never
held up, and at the end of a group its observers have a limited time to finish.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO

from mleb_core.layout import GroupLayout
from mleb_core.run import Run, RunGroup

__all__ = ["Observing"]

PATIENCE_S = 120.0
"""Seconds that an observer has to finish after the group has."""
HASTE_S = 15.0
"""The same where the group was interrupted."""
_GRACE_S = 5.0
_MOST_WAITING = 10_000
"""Changes that may wait for a slow observer; what is beyond is told at the end, from the group's directory."""


class Observing:
    """The observers of one launch of a group. Used as a context; `start` and `end` lie within."""

    def __init__(self, group: RunGroup, layout: GroupLayout, notice: Callable[[str], None]) -> None:
        """Args:
        group: its `observers` says which.
        layout: the group's directory.
        notice: told in one line of an observer that cannot do its part.
        """
        self._group, self._layout, self._notice = group, layout, notice
        self._relays: list[_Relay] = []

    def __enter__(self) -> "Observing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(finished=False)

    def start(self) -> None:
        """Start the observers. Never raises: an observer that cannot start is told."""
        for id in self._group.observers:
            try:
                self._relays.append(_Relay(id, self._layout))
            except OSError as error:
                self._notice(f"observer {id} cannot be started: {error.strerror or error}; the runs go on")

    def changed(self, run: Run) -> None:
        """A run's status has changed. Takes no time, from any thread."""
        for relay in self._relays:
            relay.put(run)

    def end(self, *, finished: bool) -> None:
        """Let the observers finish, for a limited time, and tell of those that failed. Later calls do nothing.

        Args:
            finished: the group is over and its report on disk; else it was interrupted.
        """
        relays, self._relays = self._relays, []
        for relay in relays:
            relay.put_end(finished)
        patience_s = PATIENCE_S if finished else HASTE_S
        deadline = time.monotonic() + patience_s
        try:
            for relay in relays:
                for problem in relay.wait(deadline, patience_s):
                    self._notice(f"observer {relay.id}: {problem}; the results are not touched")
        finally:
            for relay in relays:  # also where a second Ctrl-C ended the waiting
                relay.kill()


class _Relay:
    """One observer's process."""

    def __init__(self, id: str, layout: GroupLayout) -> None:
        self.id = id
        self._failures, self._log = layout.observer_failures(id), layout.observer_log(id)
        layout.observer(id).mkdir(parents=True, exist_ok=True)
        self._seen = len(_lines(self._failures))
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "mleb_core.observing.worker", id, str(layout.root.absolute())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        assert self._process.stdin is not None
        threading.Thread(target=self._feed, args=(self._process.stdin,), daemon=True, name=f"observer {id}").start()

    def put(self, run: Run) -> None:
        if self._queue.qsize() < _MOST_WAITING:
            self._queue.put(b'{"run": ' + run.model_dump_json().encode() + b"}\n")

    def put_end(self, finished: bool) -> None:
        self._queue.put(json.dumps({"end": finished}).encode() + b"\n")
        self._queue.put(None)

    def wait(self, deadline: float, patience_s: float) -> list[str]:
        """Wait for the process's end, at most until a time. Returns what went wrong, a line each."""
        problems = []
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            problems.append(f"did not finish within {patience_s:.0f} s and was ended (its output: {self._log})")
        else:
            failed = _lines(self._failures)[self._seen :]
            if failed:
                first = json.loads(failed[0])
                problems.append(
                    f"{len(failed)} of its calls failed, the first: {first['call']}: {first['message']} "
                    f"(all: {self._failures})"
                )
            elif code != 0:
                problems.append(f"its process ended with code {code} (its output: {self._log})")
        return problems

    def kill(self) -> None:
        """End the process and what it started, if it still runs."""
        if self._process.poll() is not None:
            return
        for sign, seconds in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                return

    def _feed(self, stream: IO[bytes]) -> None:
        """Write what waits to the process, which may take it as slowly as it likes, or have gone."""
        with contextlib.suppress(OSError, ValueError):
            while (line := self._queue.get()) is not None:
                stream.write(line)
                stream.flush()
        with contextlib.suppress(OSError, ValueError):
            stream.close()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
