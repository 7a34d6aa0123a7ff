"""Figures that rest on statistics: asked of a child process, and kept while nothing changed."""

import json
import subprocess
import sys
import threading
import time
from typing import Any

from mleb.view.index import GroupIndex

__all__ = ["Statistics"]

TIMEOUT_S = 120
_MOST_KEPT = 32
_LONGEST_S = 15
_SHARE = 0.1
"""The share of the time in which figures of one kind are computed while runs go on."""


class Statistics:
    """Computes figures and keeps them. Safe to use from many threads; one child process at a time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], tuple[tuple[int, ...], float, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._closed = False

    def figures(self, group: GroupIndex) -> dict[str, Any]:
        """What `mleb report --json` gives of a group beside its runs; {"error": line} where that fails.

        With `stale` where runs have changed since, and it is too early to compute them again.
        """
        return self._ask(("figures", str(group.directory)), (group.version,))

    def compare(self, a: GroupIndex, agent_a: str, b: GroupIndex, agent_b: str) -> dict[str, Any]:
        """What `mleb compare --json` gives; {"error": line} where that fails; `stale` as in `figures`."""
        words = ("compare", str(a.directory), agent_a, str(b.directory), agent_b)
        return self._ask(words, (a.version, b.version))

    def _ask(self, words: tuple[str, ...], versions: tuple[int, ...]) -> dict[str, Any]:
        with self._lock:
            kept = self._kept.get(words)
            if kept and kept[0] == versions:
                return kept[2]
            if kept and time.monotonic() < kept[1]:
                return {**kept[2], "stale": True}
            start = time.monotonic()
            answer = self._child(words)
            end = time.monotonic()
            self._kept.pop(words, None)
            while len(self._kept) >= _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[words] = (versions, end + min(_LONGEST_S, (end - start) / _SHARE), answer)
            return answer

    def close(self) -> None:
        """End the child process, if there is one; no other is started."""
        self._closed = True
        if self._running is not None:
            self._running.kill()

    def _child(self, words: tuple[str, ...]) -> dict[str, Any]:
        try:
            with subprocess.Popen(
                [sys.executable, "-P", "-m", "mleb.view.child", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the server's to handle
            ) as process:
                self._running = process
                try:
                    if self._closed:
                        process.kill()
                    found: dict[str, Any] = json.loads(process.communicate(timeout=TIMEOUT_S)[0])
                    return found
                except subprocess.TimeoutExpired:
                    process.kill()
                    line = f"the figures were not ready after {TIMEOUT_S} seconds; `mleb report` takes its time"
                    return {"error": line}
                finally:
                    self._running = None
        except (OSError, ValueError):
            return {"error": "the figures could not be computed; `mleb report` says why"}
