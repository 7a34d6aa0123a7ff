"""The submission checker: what an agent may learn of its submission while it works. Valid, or what is wrong.

with Checker(competition, data_dir, pool) as checker:
    checked = checker.check(Path("upload.csv"))
"""

import contextlib
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.grading.files import named
from mleb_core.grading.pool import GradingPool
from mleb_core.layout import CompetitionData
from mleb_core.temporary import CHECKER_PREFIX, hold

__all__ = ["Checked", "Checker"]

NAME = "submission.csv"


@dataclass(frozen=True)
class Checked:
    """What a checker says of a submission."""

    valid: bool
    """Whether its format is right."""
    text: str
    """One line for the agent: that it is valid, or what is wrong, in words of the format."""
    problem: str | None = None
    """One line for the harness: why there is no verdict. Not for the agent: it may tell of the answers."""


class Checker:
    """Checks submissions of one competition, for any number of runs and threads.

    It works in the pool's limited processes, on data that holds no answer (see `blind`), made at the first check and
    removed when the checker is closed. A pool of its own keeps checks from delaying the group's grading.
    """

    def __init__(self, competition: Competition, data_dir: Path, pool: GradingPool) -> None:
        """Args:
        competition: in the edition that is run.
        data_dir: holds its prepared data.
        pool: does the work; the caller closes it, after the checker.
        """
        self.competition, self.data_dir, self._pool = competition, data_dir, pool
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._held = -1
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def prepare(self) -> None:
        """Make the data to check against, so that the first check need not wait for it, which large answers make long.

        Raises:
            NotPreparedError: the competition's data is not there.
            GraderError: it cannot be made, or the checker or the pool is closed.
            OSError: there is no room for temporary files.
        """
        self._data()

    def check(self, submission: Path) -> Checked:
        """Check a file, which may be anything. Raises nothing but what a broken Python brings about."""
        try:
            grade = self._pool.check(self.competition, submission, self._data())
        except (MlebError, OSError) as error:
            return _no_verdict(" ".join(str(error).split()))
        if grade.grader_error is not None:
            return _no_verdict(grade.grader_error)
        if grade.valid:
            return Checked(True, "Submission is valid.")
        reason = (grade.reason or "there is no such file").replace(named(submission), named(Path(NAME)))
        return Checked(False, f"Submission is not valid: {reason}")

    def close(self) -> None:
        """Remove the data; no checks any more."""
        with self._lock:
            self._closed = True
            folder, self._folder = self._folder, None
            held, self._held = self._held, -1
        if held >= 0:
            os.close(held)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _data(self) -> Path:
        with self._lock:
            if self._closed:
                raise MlebError("the checker is closed")
            if self._folder is None:
                folder = Path(tempfile.mkdtemp(prefix=CHECKER_PREFIX))
                try:
                    self._held = hold(folder)  # `mleb clean` knows by it that somebody works here
                    self._pool.blind(self.competition, self.data_dir, folder)
                except BaseException:
                    if self._held >= 0:
                        os.close(self._held)
                        self._held = -1
                    with contextlib.suppress(OSError):
                        shutil.rmtree(folder)
                    raise
                assert CompetitionData.of(folder, self.competition.label).manifest.is_file()
                self._folder = folder
            return self._folder


def _no_verdict(problem: str) -> Checked:
    return Checked(
        False, "The checker failed, which says nothing of the submission; whoever runs it was told.", problem
    )
