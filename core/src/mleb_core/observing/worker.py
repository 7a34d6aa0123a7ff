"""The process of one observer: `python -m mleb_core.observing.worker ID GROUP_DIR`.

Stdin brings a JSON object a line: `{"run": ...}` for a run whose status has changed, at last `{"end": true}` for a
group that has finished or `{"end": false}` for one that was interrupted. The group's directory is the truth: runs that
ended and were not yet told to the other system, for whatever reason, are told at the end.
"""

import functools
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.observing.facts import clean_text
from mleb_core.observing.protocol import Session, Watched
from mleb_core.registry import Registry
from mleb_core.report.collect import load_group
from mleb_core.report.load import load_group_report, load_run_report
from mleb_core.run import Run, append_event

__all__ = ["Worker", "main"]

ORPHAN_S = 60.0
"""Seconds that an observer has to come to its end once its harness is gone."""


class Worker:
    """Carries what happens to a session; what the session raises is recorded, and the next call made."""

    def __init__(self, id: str, directory: Path) -> None:
        """Args: id: the observer's; directory: the group's."""
        self.id, self.layout = id, GroupLayout(directory)
        self._told: set[tuple[str, str, int, int]] = set()
        self._session: Session | None = None

    def open(self) -> bool:
        """Open the session. Returns whether there is one."""
        opened = self._safely("open", self._open)
        return opened and self._session is not None

    def changed(self, run: Run) -> None:
        """A run's status has changed."""
        place = self._place(run)
        self._safely(f"run_changed({run.key})", lambda: self._live.run_changed(run, place))
        if run.status.ended:
            self._finished(run, place)

    def close(self, *, finished: bool) -> None:
        """Tell what was not told yet, and end the session."""
        group = load_group(self.layout.root)
        for key in group.run_keys():
            place = self.layout.run(key.competition, key.agent, key.seed)
            if place.report.is_file() and place.run.is_file():
                self._safely(f"run_finished({key})", functools.partial(self._finish_left, place))
        report = load_group_report(self.layout.report_json) if finished else None
        self._safely("close", lambda: self._live.close(report))

    @property
    def _live(self) -> Session:
        assert self._session is not None
        return self._session

    def _open(self) -> None:
        group = load_group(self.layout.root)
        folder = self.layout.observer(self.id)
        try:
            lines = self.layout.observer_told(self.id).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        for line in lines:
            told = json.loads(line)
            self._told.add((told["competition"], told["agent"], told["seed"], told["attempt"]))
        observer = Registry().observer(self.id)
        self._session = observer.open(Watched(group, self.layout, group.observers.get(self.id, {}), folder))

    def _finish_left(self, place: RunLayout) -> None:
        run = Run.model_validate_json(place.run.read_bytes())
        if run.status.ended:
            self._finished(run, place)

    def _finished(self, run: Run, place: RunLayout) -> None:
        key = run.key
        mark = (key.competition, key.agent, key.seed, run.attempt)
        if mark in self._told:
            return

        def tell() -> None:
            self._live.run_finished(run, load_run_report(place.report), place)
            self._told.add(mark)
            append_event(self.layout.observer_told(self.id), "told", **key.model_dump(), attempt=run.attempt)

        self._safely(f"run_finished({key})", tell)

    def _place(self, run: Run) -> RunLayout:
        return self.layout.run(run.key.competition, run.key.agent, run.key.seed)

    def _safely(self, what: str, call: Callable[[], Any]) -> bool:
        try:
            call()
        except BaseException as error:  # a library that calls sys.exit shall not end the others' calls
            text = clean_text(" ".join(f"{type(error).__name__}: {error}".split()))
            append_event(self.layout.observer_failures(self.id), "observer_failed", call=what, message=text[:1000])
            return False
        return True


def main(arguments: list[str]) -> int:
    """Work until stdin ends. Returns 0, or 1 where no session could be opened."""
    id, directory = arguments
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    worker = Worker(id, Path(directory))
    if not worker.open():
        return 1
    finished = False
    while (line := lines.get()) is not None:
        message = json.loads(line)
        if "end" in message:
            finished = bool(message["end"])
            break
        worker.changed(Run.model_validate(message["run"]))
    worker.close(finished=finished)
    return 0


def _read(lines: "queue.SimpleQueue[bytes | None]") -> None:
    # Not by sys.stdin: a thread that waits in its buffer while the process ends makes Python abort.
    ended, rest = False, b""
    while not ended and (read := os.read(0, 1 << 16)):
        *whole, rest = (rest + read).split(b"\n")
        for line in whole:
            ended = ended or b'"end"' in line[:8]
            lines.put(line)
    lines.put(None)
    if not ended:  # the harness was killed: nobody is there to end this process, should the session hang
        timer = threading.Timer(ORPHAN_S, os._exit, (3,))
        timer.daemon = True
        timer.start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
