"""One run as briefly as a list or a matrix needs it. Ten thousand of them are held in memory."""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mleb_core.errors import RunGroupError
from mleb_core.report.load import parse_model
from mleb_core.report.models import RunReport
from mleb_core.report.text import one_line, shorten
from mleb_core.run import Run, RunStatus

__all__ = ["MARKS", "UNDER_WAY", "Cell", "as_left", "cell_of"]

MARKS = {
    "g": ("gold", "G"),
    "s": ("silver", "S"),
    "b": ("bronze", "B"),
    "a": ("above median", "+"),
    "v": ("valid, no medal", "·"),
    "x": ("invalid submission", "×"),
    "n": ("no submission", "∅"),
    "e": ("not graded: the grader failed", "E"),
    "f": ("failed", "!"),
    "t": ("timed out", "T"),
    "c": ("cancelled", "C"),
    "i": ("interrupted", "I"),
    "d": ("cannot be read", "?"),
    "r": ("under way", "▸"),
    "p": ("not started", ""),
}
"""What a run came to: a letter, what it means, and the sign that the matrix has for it."""
UNDER_WAY = frozenset(
    status.value
    for status in RunStatus
    if not status.ended and status not in (RunStatus.PENDING, RunStatus.INTERRUPTED)
)
"""Statuses of a run that somebody is at work on."""

_STATUSES = {status.value: status for status in RunStatus}
_UNGRADED = {"failed": "f", "timed_out": "t", "cancelled": "c", "interrupted": "i", "pending": "p", "finished": "d"}


@dataclass(slots=True)
class Cell:
    """A run."""

    mark: str
    """Key of `MARKS`."""
    status: str
    """Value of `RunStatus`; empty for one that cannot be read."""
    score: float | None = None
    """Of the submission."""
    runtime_s: float | None = None
    """Wall-clock seconds of the agent."""
    note: str = ""
    """What went wrong, in one line."""
    started_at: str = ""
    """Start of the last attempt."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it by itself."""
        status = _STATUSES.get(self.status)
        return status is not None and status.ended

    @property
    def graded(self) -> bool:
        """Whether there is a verdict on its submission."""
        return self.mark in "gsbavxn"

    @property
    def medal(self) -> bool:
        """Whether it has a medal."""
        return self.mark in "gsb"


def cell_of(key: tuple[str, str, int], run: bytes | None, report: bytes | None) -> Cell | None:
    """A run from its two files, by the same rules as `mleb_core.report.collect.collect_group`.

    Args:
        key: competition, agent and seed that it must be of.
        run: run.json; None where there is none.
        report: its report.json.

    Returns:
        The cell; None where nothing is there.
    """
    if run is None:
        return None if report is None else Cell("d", "", note="run.json is missing beside report.json")
    try:
        state = _document(run, key)
        status = _STATUSES[state["status"]]
        outcome = state.get("outcome") or {}
        cell = Cell(
            _UNGRADED.get(status.value, "r"),
            sys.intern(status.value),
            runtime_s=_number(outcome.get("runtime_s")),
            note=_line(outcome.get("message")),
            started_at=str(state.get("started_at") or ""),
        )
        attempt = state["attempt"]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Cell("d", "", note=_fault(run, Run, "run.json", key))
    if report is None:
        if status is RunStatus.FINISHED:
            cell.note = "report.json is missing"
        return cell
    try:
        found = _document(report, key)
        if found["attempt"] == attempt and (graded := found["competition_report"]) is not None:
            _grade(cell, graded)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        cell.mark, cell.note = "d", _fault(report, RunReport, "report.json", key)
    return cell


def as_left(cell: Cell) -> Cell:
    """A run whose harness is gone, whatever it wrote last."""
    if cell.status not in UNDER_WAY:
        return cell
    note = f"mleb was ended while it was {cell.status}; --resume goes on"
    return Cell("i", "interrupted", cell.score, cell.runtime_s, note, cell.started_at)


def _grade(cell: Cell, graded: dict[str, Any]) -> None:
    cell.score = _number(graded["score"])
    if graded.get("grader_error") is not None:
        cell.mark, cell.note = "e", _line(graded["grader_error"])
    elif graded["medal"] in ("gold", "silver", "bronze"):
        cell.mark = graded["medal"][0]
    elif graded["valid_submission"]:
        cell.mark = "a" if graded["above_median"] else "v"
    else:
        cell.mark = "x" if graded["submission_exists"] else "n"
        cell.note = cell.note or _line(graded.get("reason"))


def _document(content: bytes, key: tuple[str, str, int]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(content)
    own = document["key"]
    if document.get("format_version", 1) != 1 or (own["competition"], own["agent"], own["seed"]) != key:
        raise ValueError
    return document


def _number(value: Any) -> float | None:
    if value is None:
        return None
    number = float(value)
    if isinstance(value, bool | str) or not math.isfinite(number):
        raise ValueError
    return number


def _line(value: Any) -> str:
    return shorten(one_line(value), 300) if isinstance(value, str) else ""


def _fault(content: bytes, model: type[BaseModel], name: str, key: tuple[str, str, int]) -> str:
    """What is wrong with a file, in one line."""
    try:
        found: Any = parse_model(
            Path(name), content, model, "a run's state" if name == "run.json" else "a run's report"
        )
    except RunGroupError as error:
        return str(error)
    own = (found.key.competition, found.key.agent, found.key.seed)
    return f"{name} is that of another run: {one_line(str(found.key))}" if own != key else f"{name} cannot be read"
