"""What a grading process does: `python -m mleb_core.grading.worker MEMORY_BYTES`, started by `pool.GradingPool`.

Requests come over stdin and replies go over stdout, a JSON object a line. Both are put out of the reach of
grading code first, so that a metric that prints, or closes stdout, changes nothing.

    {"id": "x1", "task": "grade", "folder": ..., "edition": 1, "submission": ..., "data_dir": ..., "time_limit_s": 600}
    {"id": "x1", "grade": {...}, "resident": 123, "children": false}
    {"id": "x1", "task": "blind", "folder": ..., "edition": 1, "data_dir": ..., "target_dir": ..., "time_limit_s": 600}
    {"id": "x1", "done": true, ...}
    {"id": "x1", "error": "NotPreparedError", "message": ..., ...}
    {"id": "x1", "exceeded": "memory", ...}
"""

import faulthandler
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.grading.limits import apply_limits, has_children, last_resort, resident_bytes

__all__ = ["main"]

_GRACE_S = 30.0
_KEPT_COMPETITIONS = 256


def main() -> None:
    """Answer requests until stdin ends; then this process ends, whatever it is doing."""
    requests, replies = _take_pipes()
    faulthandler.enable()
    worker = _Worker(replies)
    apply_limits(int(sys.argv[1]))  # for what comes on top of the libraries that every submission needs
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, inbox), daemon=True).start()
    worker.send({"ready": True})
    while True:
        worker.answer(json.loads(inbox.get()))


class _Worker:
    """Answers requests; keeps plugins and competitions between them."""

    def __init__(self, replies: BinaryIO) -> None:
        import pandas  # so that the first request does not pay for it

        import mleb_core.grading.cells
        import mleb_core.grading.options  # noqa: F401
        from mleb_core.registry import Registry

        pandas.Series(["text"])  # where pyarrow is there, pandas keeps texts in it, and loads it only now
        self.replies = replies
        self.registry = Registry()
        _ = self.registry.graders
        self.competitions: dict[tuple[str, int, int, int], Competition] = {}
        self.pid = os.getpid()

    def answer(self, request: dict[str, Any]) -> None:
        """Carry out one request and reply."""
        last_resort(request["time_limit_s"] + _GRACE_S)
        try:
            reply = self._carried_out(request)
        except MemoryError:
            reply = {"exceeded": "memory"}
        except MlebError as error:
            reply = {"error": type(error).__name__, "message": str(error)}
        except BaseException as error:
            text = " ".join(str(error).split())
            reply = {"error": "GraderError", "message": f"grading failed: {type(error).__name__}: {text}"[:1000]}
        if os.getpid() != self.pid:
            os._exit(0)  # grading code forked, and this is the copy
        last_resort(0)
        self.send({"id": request["id"], **reply, "resident": resident_bytes(), "children": has_children()})

    def send(self, reply: dict[str, Any]) -> None:
        """One line to the harness."""
        self.replies.write(json.dumps(reply).encode() + b"\n")
        self.replies.flush()

    def _carried_out(self, request: dict[str, Any]) -> dict[str, Any]:
        from mleb_core.grading.blind import blind, check_format
        from mleb_core.grading.grade import grade_submission, validate_submission

        competition = self._competition(request["folder"], request["edition"])
        if request["task"] == "blind":
            blind(competition, Path(request["data_dir"]), Path(request["target_dir"]), self.registry)
            return {"done": True}
        work = {"grade": grade_submission, "validate": validate_submission, "check": check_format}[request["task"]]
        grade = work(Path(request["submission"]), competition, Path(request["data_dir"]), self.registry)
        return {"grade": grade.model_dump(mode="json")}

    def _competition(self, folder: str, edition: int) -> Competition:
        """The competition, read anew only where its file has changed."""
        try:
            status = (Path(folder) / "competition.toml").stat()
        except OSError:
            return Competition(folder, edition)  # which says what is wrong when it is used
        key = (folder, edition, status.st_mtime_ns, status.st_size)
        if key not in self.competitions:
            if len(self.competitions) >= _KEPT_COMPETITIONS:
                self.competitions.clear()
            self.competitions[key] = Competition(folder, edition)
        return self.competitions[key]


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move the two pipes to descriptors of their own; stdin and stdout become /dev/null."""
    requests, replies = os.dup(0), os.dup(1)  # not inherited by programs that grading code starts
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def _listen(requests: BinaryIO, inbox: "queue.SimpleQueue[bytes]") -> None:
    for line in requests:
        inbox.put(line)
    os._exit(0)  # the harness is gone or wants no more


if __name__ == "__main__":
    main()
