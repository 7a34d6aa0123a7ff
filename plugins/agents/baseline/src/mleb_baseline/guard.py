"""Keeps the clock and ends the agent in good order: when asked to (SIGTERM, Ctrl-C) and when its time is up.

Imports nothing but the standard library, so that it stands before numpy is loaded.
"""

import os
import signal
import sys
import threading
import time

__all__ = ["Guard"]

LAST_CALL = 0.96
"""Share of the time after which the agent ends whatever it is at; a fit cannot be interrupted otherwise."""
LOOK_UP_S = 0.25


class Guard:
    """The clock of one agent process, and a thread that waits for signals.

    Signals are blocked in all threads and awaited in one: a handler would only run once the main thread is back
    from a fit, which can take longer than the harness's patience.
    """

    def __init__(self, seconds: float) -> None:
        """Start the clock and the thread.

        Args:
            seconds: wall-clock seconds in all.
        """
        self.start = time.monotonic()
        self.seconds = seconds
        self.lock = threading.Lock()
        """Held while a file is written, so that the end never comes in the middle of it."""
        self.handed_in = False
        """Whether a submission is on disk."""
        self._signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signals)
        threading.Thread(target=self._wait, name="guard", daemon=True).start()

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def limit(self, seconds: float) -> None:
        """Use at most so many seconds in all; an earlier limit stays."""
        self.seconds = min(self.seconds, seconds)

    def left(self, share: float = 1.0) -> float:
        """Seconds until `share` of the time is used up."""
        return self.seconds * share - self.elapsed()

    @property
    def code(self) -> int:
        """Exit code: 0 when a submission was left, else 1."""
        return 0 if self.handed_in else 1

    def _wait(self) -> None:
        while True:
            left = self.left(LAST_CALL)
            if left <= 0:
                self._end("time is up")
            # A limit may still be set while this waits, so it looks up now and then.
            received = signal.sigtimedwait(self._signals, min(left, LOOK_UP_S))
            if received is not None:
                self._end(f"asked to stop ({signal.Signals(received.si_signo).name})")

    def _end(self, why: str) -> None:
        self.lock.acquire(timeout=5)
        state = "the best submission so far is on disk" if self.handed_in else "no submission yet"
        print(f"{why}: {state}", flush=True)
        sys.stderr.flush()
        os._exit(self.code)
