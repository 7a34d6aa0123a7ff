"""Ctrl-C, once and twice."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from mleb_core.runner.local import kill_at_once
from mleb_core.runner.protocol import Stop

__all__ = ["Interruptible"]

NOTE = "stopping, saving; press Ctrl-C again to stop at once"


class Interruptible:
    """While it is entered, a first SIGINT, SIGTERM or SIGHUP asks for a stop, a second ends the process at once.

    At once means as SIGKILL does: nothing more is written, so that run.json keeps the last status, such as `running`.
    Agents of the local runner are killed; containers go on until --resume takes them up. Reports show such a run as
    interrupted, since no harness holds the group (`mleb_core.report.collect`).

    A signal that is ignored, as after nohup, stays ignored.
    """

    def __init__(self, set_note: Callable[[str], None], has_started: Callable[[], bool]) -> None:
        """Args:
        set_note: shows a line in a terminal; called in a signal handler.
        has_started: whether there is anything to save; before that a first signal ends the command as usual.
        """
        self.stop = Stop()
        self.signal: int | None = None
        self._set_note = set_note
        self._has_started = has_started
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *details: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        terminal = sys.stderr.isatty()
        if self.signal is not None:
            kill_at_once()
            if terminal:
                os.write(2, b"\x1b[?25h\n")  # the live display hides the cursor
            os._exit(128 + number)
        self.signal = number
        if not self._has_started():
            raise SystemExit(128 + number)
        self.stop.set()
        self._set_note(NOTE)
        if not terminal:
            os.write(2, NOTE.encode() + b"\n")
