"""A transcript by exchanges: where its lines are is remembered, only those that are shown are read."""

import json
import os
import threading
from array import array
from pathlib import Path
from typing import Any

from mleb.view.conversation import Part, asked, fresh, replied, shown
from mleb.view.files import inner, open_file

__all__ = ["Transcripts"]

_STEP = 1 << 20
_MOST_LINE = 32 << 20
_KEPT = 8
_FACTS = (
    "number",
    "time",
    "endpoint",
    "model",
    "status",
    "error",
    "seconds",
    "retries",
    "tokens",
    "estimated",
    "cost_usd",
)


class Transcripts:
    """The transcripts that were looked at lately. Safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: dict[Path, _Lines] = {}
        self._lock = threading.Lock()

    def exchanges(self, base: Path, path: Path, first: int, count: int) -> dict[str, Any]:
        """Some exchanges, each with what was new in it.

        Args:
            base: the way to it is trusted.
            path: transcript.jsonl.
            first: from 0; negative: from the end.
            count: how many.

        Returns:
            `total`, `first`, and `items`: the facts of each line, `parts` that were new, `known` (how many parts of the
            request were said before), `reply`; or `problem`, where a line is none.

        Raises:
            FileProblem: it cannot be read.
        """
        fd = open_file(base, inner(base, path))
        try:
            lines = self._lines(fd, path)
            first = max(0, len(lines) + first) if first < 0 else min(first, len(lines))
            last = min(first + count, len(lines))
            before = _before(lines.at(fd, first - 1)) if first > 0 else []
            items = []
            for number in range(first, last):
                item, before = _item(lines.at(fd, number), before)
                items.append({"line": number + 1, **item})
            return {"total": len(lines), "first": first, "items": items}
        finally:
            os.close(fd)

    def _lines(self, fd: int, path: Path) -> "_Lines":
        with self._lock:
            lines = self._kept.pop(path, None) or _Lines()
            lines.read(fd)
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[path] = lines
            return lines


class _Lines:
    """Where the lines of a growing file begin."""

    def __init__(self) -> None:
        self._file = 0
        self._starts = array("Q", [0])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def read(self, fd: int) -> None:
        """Look at what was added; all of it where it is another file."""
        status = os.fstat(fd)
        if status.st_ino != self._file or status.st_size < self._starts[-1]:
            self._file, self._starts = status.st_ino, array("Q", [0])
        at = self._starts[-1]
        while content := os.pread(fd, _STEP, at):
            found = content.find(b"\n")
            while found >= 0:
                self._starts.append(at + found + 1)
                found = content.find(b"\n", found + 1)
            at += len(content)

    def at(self, fd: int, number: int) -> bytes | int:
        """A line; its size where that is too much."""
        start, end = self._starts[number], self._starts[number + 1]
        return os.pread(fd, end - start, start) if end - start <= _MOST_LINE else end - start


def _item(line: bytes | int, before: list[Part]) -> tuple[dict[str, Any], list[Part]]:
    """An exchange for a page, and its parts for the next."""
    if isinstance(line, int):
        return {"problem": f"this exchange has {line:,} bytes and is not shown"}, []
    try:
        document = json.loads(line)
        facts = {name: document.get(name) for name in _FACTS}
        request, reply = document.get("request"), document.get("reply")
        said, answer = asked(request), replied(reply)
    except (ValueError, AttributeError, RecursionError):
        return {"problem": "this line is no exchange with a model"}, []
    new, known = fresh(said, before)
    item = {**facts, "known": known, "parts": list(map(shown, new)), "reply": list(map(shown, answer))}
    if isinstance(request, dict) and set(request) == {"bytes", "sha256"}:
        item["problem"] = "the transcript had reached its limit: of this exchange only sizes were kept"
    return item, said + answer


def _before(line: bytes | int) -> list[Part]:
    return _item(line, [])[1]
