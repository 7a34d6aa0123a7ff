"""What a grader is: it checks a submission's format and scores it against the private answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from mleb_core.competition_spec import Grading

__all__ = ["Grader", "GradingTask"]


@dataclass(frozen=True)
class GradingTask:
    """What a grader works with, besides the submission."""

    competition_id: str
    """For messages."""
    edition: int
    """1 as published."""
    grading: "Grading"
    """The competition's `[grading]` table."""
    public: Path
    """Prepared public files."""
    private: Path
    """Prepared private files."""

    @property
    def answers(self) -> Path:
        """The private truth."""
        return self.private / self.grading.answers

    @property
    def sample(self) -> Path:
        """The sample submission."""
        return self.public / self.grading.sample


@runtime_checkable
class Grader(Protocol):
    """Checks and scores submissions of the competitions that name it.

    Most graders are a `TableGrader` around a metric; only a submission that is no table with an id
    column needs a class of its own.
    """

    id: str
    """What competitions name."""
    summary: str
    """One line for listings: what the score is."""
    higher_is_better: bool
    """Direction of the score."""

    def validate(self, submission: Path, task: GradingTask) -> None:
        """Check the format alone.

        Raises:
            InvalidSubmissionError: one line naming the first offending row and column; its words come from
                the format and the submission, never from the answers.
        """
        ...

    def grade(self, submission: Path, task: GradingTask) -> float:
        """Check and score.

        Returns:
            A finite score, not rounded.

        Raises:
            InvalidSubmissionError: as in `validate`, or no finite score can be given to these values.
            GraderError: the answers are missing or unreadable, or the grader has a fault.
        """
        ...
