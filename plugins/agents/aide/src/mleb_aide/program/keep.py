"""Keeps the submission of AIDE's best program where it counts.

All of AIDE's programs write to the same file, so the last one's predictions would be what is left. Here each program's
own file is told from what others left, and copied to the place of the hand-in, whole, as soon as it is the best one.
"""

import os
import shutil
from pathlib import Path
from typing import Any

from mleb_aide.program.ends import State

__all__ = ["Keeper"]

PLACES = ("working/submission.csv", "submission.csv", "submission/submission.csv", "working/submission/submission.csv")
"""Where programs write it, in the order of preference: AIDE asks for the first, models slip to the others."""


class Keeper:
    """Hands in the best submission so far."""

    def __init__(self, state: State, submission: Path, code: Path) -> None:
        """Args:
        state: is told what is handed in.
        submission: directory of the hand-in.
        code: directory for the program that made it.
        """
        self.state, self.submission, self.code = state, submission, code
        self.best: Any = None
        """Metric of what is handed in; None: it is of a faulty program, or there is nothing."""
        self.made: Path | None = None
        """What the last program wrote."""
        self._before: dict[str, tuple[int, int, int] | None] = {}

    def before(self, workspace: Path) -> None:
        """A program is about to run."""
        self.made, self._before = None, {place: _stamp(workspace / place) for place in PLACES}

    def after(self, workspace: Path) -> None:
        """It has run."""
        changed = (place for place in PLACES if _stamp(workspace / place) not in (None, self._before.get(place)))
        self.made = next((workspace / place for place in changed), None)

    def reviewed(self, node: Any) -> bool:
        """Its output was reviewed; whether its submission is now the one that is handed in.

        A program that AIDE holds for faulty, though it ended by itself, counts where there is no other: the newest.
        """
        made, self.made = self.made, None
        good = not node.is_buggy
        if made is None or (node.exc_type is not None and not good):
            return False
        if self.best is not None and not (good and node.metric > self.best):
            return False
        self.best = node.metric if good else None
        _replace(made, self.submission / "submission.csv")
        self.code.joinpath("solution.py").write_text(node.code, encoding="utf-8")
        self.state.kept = {"step": node.step + 1, "metric": node.metric.value if good else None}
        return True


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written; None where there is no regular file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if path.is_file() else None


def _replace(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, part)
    os.replace(part, target)  # noqa: PTH105
