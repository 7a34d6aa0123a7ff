"""From a submission file to a `Grade`, in this process. `pool.GradingPool` does the same in limited child processes."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from mleb_core.competition import Competition
from mleb_core.errors import CompetitionError, GraderError, InvalidSubmissionError, NotPreparedError
from mleb_core.grading.files import fingerprint
from mleb_core.grading.protocol import Grader, GradingTask
from mleb_core.grading.table import call_metric, finite_score
from mleb_core.layout import CompetitionData
from mleb_core.run import Text, now

__all__ = [
    "Grade",
    "Graders",
    "check_direction",
    "grade_submission",
    "one_line",
    "task_of",
    "unscored_grade",
    "validate_submission",
]


class Graders(Protocol):
    """Where graders are found; `Registry` is one."""

    def grader(self, id: str) -> Grader:
        """A grader by id.

        Raises:
            UnknownIdError: no such id.
            PluginError: the plugin that brings it does not work.
        """
        ...


class Grade(BaseModel):
    """What became of one submission: a score, a reason why it is invalid, or a fault of the grader.

    Exactly one of `valid`, `reason` and `grader_error` is given.
    """

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    competition: str
    """Label of the competition, edition included: `iris`, `iris@2`."""
    submission_path: Text
    """The file, as it was named."""
    submission_exists: bool
    """Whether there is anything under that name."""
    valid: bool
    """Whether it passed all checks."""
    score: float | None = None
    """Score, rounded to 5 decimals; None where it is invalid, was only validated, or the grader failed."""
    reason: Text | None = None
    """Why it is invalid, in one line."""
    grader_error: Text | None = None
    """What went wrong in the grader, in one line; the submission has then no verdict."""
    higher_is_better: bool | None = None
    """The grader's direction; None where it could not be asked."""
    grader: str = ""
    """Id of the grader."""
    sha256: str | None = None
    """sha256 of the file, in hexadecimal; None where it could not be read."""
    size: int | None = None
    """Size of the file in bytes; None where it could not be read."""
    graded_at: str = ""
    """When: UTC, ISO 8601."""
    seconds: float = 0.0
    """How long it took, wall clock."""


def grade_submission(submission: Path, competition: Competition, data_dir: Path, registry: Graders) -> Grade:
    """Check and score a submission.

    Args:
        submission: the file; it may be missing or anything else.
        competition: in the edition to grade.
        data_dir: holds the competition's prepared data.
        registry: where its grader is found.

    Raises:
        NotPreparedError: the competition's data is not there.
        CompetitionError: its folder is wrong, or its direction is not the grader's.
        UnknownIdError: there is no such grader.
        PluginError: the grader's plugin does not work.
        MemoryError: there is not enough memory.
    """
    return _judged(submission, competition, data_dir, registry, scored=True)


def validate_submission(submission: Path, competition: Competition, data_dir: Path, registry: Graders) -> Grade:
    """Check a submission's format; the grade has no score. Arguments and errors as in `grade_submission`."""
    return _judged(submission, competition, data_dir, registry, scored=False)


def check_direction(competition: Competition, grader: Grader) -> None:
    """Check that competition.toml and the grader agree on what is better.

    Raises:
        CompetitionError: they do not.
    """
    declared = competition.spec.leaderboard.higher_is_better
    if declared != grader.higher_is_better:
        better = "higher" if grader.higher_is_better else "lower"
        raise CompetitionError(
            f"{competition.folder / 'competition.toml'}: leaderboard.higher_is_better: expected "
            f"{str(grader.higher_is_better).lower()}, since {better} is better for grader {grader.id}"
        )


def unscored_grade(submission: Path, competition: Competition, **fields: Any) -> Grade:
    """A grade without a score: what is known of the file, and `fields` such as `reason` or `grader_error`."""
    sha256: str | None = None
    size: int | None = None
    try:
        sha256, size = fingerprint(submission)
    except InvalidSubmissionError as error:
        # What is wrong with the file itself comes before what its content led to.
        fields = {**fields, "valid": False, "score": None, "reason": str(error), "grader_error": None}
    except GraderError as error:
        fields = {**fields, "valid": False, "score": None, "reason": None, "grader_error": str(error)}
    return Grade(
        **{
            "competition": competition.label,
            "submission_path": str(submission),
            "submission_exists": os.path.lexists(submission),
            "valid": False,
            "grader": competition.spec.grading.grader,
            "sha256": sha256,
            "size": size,
            "graded_at": now(),
            **fields,
        }
    )


def _judged(submission: Path, competition: Competition, data_dir: Path, registry: Graders, *, scored: bool) -> Grade:
    started = time.monotonic()
    task, grader = task_of(competition, data_dir), registry.grader(competition.spec.grading.grader)
    check_direction(competition, grader)

    def done(**fields: Any) -> Grade:
        seconds = round(time.monotonic() - started, 6)
        return unscored_grade(
            submission, competition, higher_is_better=grader.higher_is_better, seconds=seconds, **fields
        )

    if not os.path.lexists(submission):
        return done()
    work: Callable[[], Any] = lambda: (grader.grade if scored else grader.validate)(submission, task)  # noqa: E731
    try:
        result = call_metric(work, grader.id, competition.id)
        if not scored:
            return done(valid=True)
        return done(valid=True, score=round(finite_score(result, grader.id), 5) + 0.0)  # never -0.0
    except InvalidSubmissionError as error:
        return done(reason=one_line(error))
    except GraderError as error:
        return done(grader_error=one_line(error))


def task_of(competition: Competition, data_dir: Path) -> GradingTask:
    """What a grader works with.

    Raises:
        NotPreparedError: the competition's data is not there.
        CompetitionError: its folder is wrong.
    """
    grading = competition.spec.grading  # what is wrong with the folder comes before what is wrong with its data
    data = CompetitionData.of(data_dir, competition.label)
    if not (data.prepared.is_dir() and data.manifest.is_file()):
        raise NotPreparedError(
            f"{competition.label} is not prepared in {data_dir}; run: mleb prepare -c {competition.label}"
        )
    return GradingTask(competition.id, competition.edition, grading, data.public, data.private)


def one_line(error: Exception) -> str:
    """An error's message on one line, cut at 1,000 characters."""
    return " ".join(str(error).split())[:1000]
