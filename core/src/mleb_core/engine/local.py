"""The local engine: N runs at a time on this machine, each watched by a thread."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from mleb_core.engine.protocol import Execute
from mleb_core.run import Run, RunKey
from mleb_core.runner.protocol import Stop

__all__ = ["LocalEngine"]

WAIT_S = 0.5
"""Seconds after which Ctrl-C is noticed at the latest."""


class LocalEngine:
    """Spreads runs over threads. A run is a process or container of its own, so a thread only waits."""

    id = "local"
    summary = "Runs on this machine, N at a time."

    def spread(self, keys: Sequence[RunKey], execute: Execute, *, workers: int, stop: Stop) -> Iterator[Run]:
        """As the protocol says."""
        waiting = iter(keys)
        under_way: set[Future[Run]] = set()
        with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="run") as threads:
            try:
                while True:
                    # Runs are handed out one by one, so that a stop leaves the rest untouched.
                    while len(under_way) < workers and not stop.is_set():
                        key = next(waiting, None)
                        if key is None:
                            break
                        under_way.add(threads.submit(execute, key, stop))
                    if not under_way:
                        return
                    # Not for ever: a signal that comes just before a wait begins is handled only after it.
                    done, under_way = wait(under_way, timeout=WAIT_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            except BaseException:
                # Also when the consumer goes away: leaving the pool waits, and must not wait for an agent's 24 hours.
                stop.set()
                raise
