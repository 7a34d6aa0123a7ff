"""Grading in child processes with limits, many submissions a process, so that a hostile one costs only itself.

with GradingPool(workers=2) as pool:
    grade = pool.grade(competition, Path("submission.csv"), data_dir)
"""

import contextlib
import queue
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mleb_core.errors
from mleb_core.competition import Competition
from mleb_core.errors import GraderError, MlebError, UsageError
from mleb_core.grading.child import Child, ChildDied, ChildOverTime
from mleb_core.grading.files import fingerprint
from mleb_core.grading.grade import Grade, unscored_grade
from mleb_core.layout import CompetitionData

__all__ = ["GradingPool"]

_GIB = 1024**3


class GradingPool:
    """Grades submissions in child processes; safe to use from many threads.

    Children start when they are first needed and are renewed after `recycle_after` submissions or when they have
    grown or left processes behind. What a submission may bring about:

    - It breaks the format: an invalid grade, as in `grade_submission`.
    - Grading it takes too long or too much memory: the sample submission is graded under the same limits. Where
      that goes well, the submission is at fault and invalid; where not, the grader is: `grader_error`.
    - Grading it ends the process in any other way (a crash, `os._exit`): `grader_error`.

    In each case the next submission gets a fresh process.
    """

    def __init__(
        self,
        workers: int = 1,
        time_limit_s: float = 600.0,
        memory_bytes: int = 8 * _GIB,
        *,
        recycle_after: int = 1000,
    ) -> None:
        """Args:
        workers: number of processes, and of submissions graded at once; further calls wait.
        time_limit_s: wall-clock limit for one submission, in seconds.
        memory_bytes: limit of a process's address space, beyond what Python itself takes.
        recycle_after: submissions that a process grades at most.
        """
        if workers < 1:
            raise UsageError(f"a grading pool needs at least 1 worker, got {workers}")
        self.time_limit_s = time_limit_s
        self.memory_bytes = memory_bytes
        self.recycle_after = recycle_after
        self._slots: queue.LifoQueue[Child | None] = queue.LifoQueue()  # the last used first: it is warm
        for _ in range(workers):
            self._slots.put(None)
        self._lock = threading.Lock()
        self._living: set[Child] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes. Calls that are under way or still wait for a process get a GraderError."""
        with self._lock:
            self._closed = True
            busy, self._living = self._living, set()
        idle: list[Child | None] = []
        with contextlib.suppress(queue.Empty):
            while True:
                idle.append(self._slots.get_nowait())
        for child in idle:
            if child is not None:
                child.kill()
            self._slots.put(None)
        for child in busy.difference(idle):
            child.end()  # its pipes are closed by the thread that waits on them

    def grade(self, competition: Competition, submission: Path, data_dir: Path) -> Grade:
        """Check and score a submission; arguments and errors as in `grade_submission`, but for MemoryError.

        Raises:
            GraderError: the pool is closed.
        """
        return self._judged("grade", competition, submission, data_dir)

    def validate(self, competition: Competition, submission: Path, data_dir: Path) -> Grade:
        """Check a submission's format; the grade has no score. Errors as in `grade`."""
        return self._judged("validate", competition, submission, data_dir)

    def blind(self, competition: Competition, data_dir: Path, target_dir: Path) -> None:
        """Make data for `check`, without the answers; see `blind.blind`. For use once a competition.

        Args:
            competition: in the edition to check.
            data_dir: holds its prepared data.
            target_dir: gets a folder for it; it must not be there yet.

        Raises:
            NotPreparedError: the competition's data is not there.
            GraderError: the answers or the sample submission are unfit, the disk or a limit is in the way, or the pool
                is closed.
        """
        try:
            self._request("blind", competition, data_dir, target_dir=str(target_dir.absolute()))
        except ChildOverTime:
            raise GraderError(f"{competition.label}: no data to check against within {self.time_limit_s:g} s") from None
        except MemoryError:
            limit = f"{self.memory_bytes / _GIB:.3g} GiB of memory"
            raise GraderError(f"{competition.label}: no data to check against with {limit}") from None
        except (ChildDied, _NoChildError) as error:
            self._refuse_closed()
            raise GraderError(f"{competition.label}: no data to check against: the grading process {error}") from None

    def check(self, competition: Competition, submission: Path, blind_dir: Path) -> Grade:
        """Check a submission's format against data without answers; see `blind.check_format`. Errors as in `grade`.

        Args:
            competition: in the edition to check.
            submission: the file.
            blind_dir: the directory that `blind` wrote to.
        """
        return self._judged("check", competition, submission, blind_dir)

    def _judged(self, task: str, competition: Competition, submission: Path, data_dir: Path) -> Grade:
        started = time.monotonic()
        try:
            grade = self._asked(task, competition, submission, data_dir)
        except ChildOverTime:
            what = f"more than {self.time_limit_s:g} s"
            grade = self._blamed(task, competition, submission, data_dir, what)
        except MemoryError:
            what = f"more than {self.memory_bytes / _GIB:.3g} GiB of memory"
            grade = self._blamed(task, competition, submission, data_dir, what)
        except ChildDied as death:
            self._refuse_closed()
            grade = unscored_grade(submission, competition, grader_error=f"the grading process {death}")
        except _NoChildError as error:
            grade = unscored_grade(submission, competition, grader_error=str(error))
        seconds = grade.seconds or round(time.monotonic() - started, 6)
        return grade.model_copy(update={"submission_path": str(submission), "seconds": seconds})

    def _blamed(self, task: str, competition: Competition, submission: Path, data_dir: Path, what: str) -> Grade:
        """Find out whose fault it is that a limit was passed: that of a submission whose like is graded in time."""
        self._refuse_closed()
        sample = CompetitionData.of(data_dir, competition.label).public / competition.spec.grading.sample
        with contextlib.suppress(ChildOverTime, ChildDied, MemoryError, MlebError, _NoChildError):
            if fingerprint(sample) != fingerprint(submission):
                control = self._asked(task, competition, sample, data_dir)
                if control.grader_error is None:
                    reason = f"grading it takes {what}, which the sample submission does not; hand in a file like that"
                    return unscored_grade(submission, competition, reason=reason)
        return unscored_grade(submission, competition, grader_error=f"grading takes {what}; raise the pool's limits")

    def _asked(self, task: str, competition: Competition, submission: Path, data_dir: Path) -> Grade:
        """A request for a grade; raises as `_request`."""
        reply = self._request(task, competition, data_dir, submission=str(submission.absolute()))
        return Grade.model_validate(reply["grade"])

    def _request(self, task: str, competition: Competition, data_dir: Path, **further: str) -> dict[str, Any]:
        """One request to one child.

        Raises:
            ChildDied: it ended.
            ChildOverTime: it took too long.
            MemoryError: it took too much memory.
            MlebError: as `grade_submission` raises it.
        """
        request = {
            "id": uuid.uuid4().hex,
            "task": task,
            "folder": str(competition.folder.absolute()),
            "edition": competition.edition,
            "data_dir": str(data_dir.absolute()),
            **further,
        }
        child = self._slots.get()
        try:
            child = self._fresh() if child is None or not self._usable(child) else child
            reply = child.ask(request, self.time_limit_s)
            if self._worn(child, reply):
                self._end(child)
                child = None
        except ChildDied as death:
            self._end(child)
            child = None
            if death.out_of_memory and not self._closed:
                raise MemoryError(str(death)) from None
            raise
        except BaseException:
            self._end(child)
            child = None
            raise
        finally:
            if child is not None and self._closed:  # closed meanwhile: nobody comes for it any more
                self._end(child)
                child = None
            self._slots.put(child)
        if "grade" in reply or "done" in reply:
            return reply
        if reply.get("exceeded") == "memory":
            raise MemoryError
        raise _remade(reply)

    def _fresh(self) -> Child:
        self._refuse_closed()
        try:
            child = Child(self.memory_bytes)
        except GraderError as error:
            raise _NoChildError(str(error)) from None
        with self._lock:
            if not self._closed:
                self._living.add(child)
                return child
        child.kill()
        self._refuse_closed()
        raise AssertionError

    def _usable(self, child: Child) -> bool:
        if child.alive:
            return True
        self._end(child)
        return False

    def _worn(self, child: Child, reply: dict[str, Any]) -> bool:
        """Whether a child has done its part: many submissions, memory that it does not give back, or offspring.

        Nor is one that ran out of memory used again: a module may have been half imported at that moment.
        """
        if reply.get("exceeded") == "memory":
            return True
        grown = reply["resident"] - child.resident_at_start
        return child.requests >= self.recycle_after or grown > min(_GIB, self.memory_bytes // 2) or reply["children"]

    def _end(self, child: Child | None) -> None:
        if child is not None:
            with self._lock:
                self._living.discard(child)
            child.kill()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise GraderError("the grading pool is closed")


class _NoChildError(Exception):
    """No grading process could be started."""


def _remade(reply: dict[str, Any]) -> MlebError:
    """The error that a child reports, as the class that it was."""
    found = getattr(mleb_core.errors, str(reply.get("error")), None)
    kind = found if isinstance(found, type) and issubclass(found, MlebError) else GraderError
    error = kind.__new__(kind)
    error.args = (str(reply.get("message")),)
    return error
