"""Graders of texts that stand for masks, boxes or points. What they do is looked up when a submission is graded."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.table import CheckedTable, TableGrader

if TYPE_CHECKING:
    import numpy.typing as npt

    from mleb_core.competition_spec import Column
    from mleb_core.grading.protocol import GradingTask

__all__ = ["CellGrader", "ReadTable", "refusal"]


@dataclass(frozen=True)
class ReadTable(CheckedTable):
    """A submission whose cells were read."""

    content: Any = None
    """What the reader made of the target column, rows in the answers' order."""


class CellGrader(TableGrader):
    """A TableGrader whose one target column holds texts that a reader turns into masks, boxes or points.

    A text that the reader refuses makes the submission invalid. The metric gets what the reader made of the answers and
    of the submission.
    """

    def __init__(
        self,
        id: str,
        metric: str,
        higher_is_better: bool,
        summary: str,
        column: "Column | Mapping[str, Any] | None" = None,
        *,
        reader: str,
        truth_reader: str | None = None,
        reading: Collection[str] = (),
    ) -> None:
        """Args:
        id: as in TableGrader, likewise the next four.
        metric: `metric(truth, predicted, **options) -> float`, as "package.module:function".
        higher_is_better: direction of the score.
        summary: one line for listings.
        column: rule of the target column.
        reader: `reader(cells, **options)`, as "package.module:function"; raises CellError.
        truth_reader: the same for the answers, where it differs.
        reading: the options and extras that the reader takes; all others are the metric's.
        """
        super().__init__(id, metric, higher_is_better, summary, column)
        self.reader = reader
        self.truth_reader = truth_reader or reader
        self.reading = frozenset(reading)

    def check(self, submission: Path, task: "GradingTask") -> ReadTable:
        """All checks of `validate`, those of the cells' texts included; see `TableGrader.check`."""
        from mleb_core.grading.options import split_options

        table = super().check(submission, task)
        if len(table.cells) != 1:
            raise GraderError(
                f"{task.competition_id}: grader {self.id} reads one target column, got {len(table.cells)}"
            )
        _, options = split_options(task.grading.options)
        reading = self._reading({**options, **table.extras})
        given = {field.name: getattr(table, field.name) for field in fields(table)}
        return ReadTable(**given, content=self._read(table, reading, task))

    def score(self, table: CheckedTable, task: "GradingTask", options: Mapping[str, Any]) -> float:
        """Apply the metric to what was read."""
        from mleb_vision.cells import CellError

        assert isinstance(table, ReadTable)
        try:
            truth = _function(self.truth_reader)(self.truth(table, task), **self._reading(options))
        except CellError as error:
            row = int(table.answers.index[error.position]) + 1
            raise GraderError(f"the answers' row {row} cannot be read; prepare them again") from None
        rest = {name: value for name, value in options.items() if name not in self.reading}
        return self._metric()(truth, table.content, **rest)

    def _reading(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in self.reading}

    def _read(self, table: CheckedTable, reading: Mapping[str, Any], task: "GradingTask") -> Any:
        import numpy as np

        from mleb_vision.cells import CellError

        reader = _function(self.reader)
        chosen: npt.NDArray[Any] | None = None
        found: CellError | None = None
        while True:
            cells = table.predicted if chosen is None else table.predicted[chosen]
            some = {name: value if chosen is None else _rows(value, chosen) for name, value in reading.items()}
            try:
                content = reader(cells, **some)
            except CellError as error:
                # Rows were put into the answers' order; the one to name is the first in the file.
                found = CellError(error.position if chosen is None else int(chosen[error.position]), error.problem)
                chosen = np.flatnonzero(table.submission.index < table.submission.index[found.position])
                if len(chosen):
                    continue
            if found is not None:
                raise refusal(table, found.position, found.problem, task) from None
            return content


def refusal(table: CheckedTable, position: int, problem: str, task: "GradingTask") -> InvalidSubmissionError:
    """The error for a cell of a checked table.

    Args:
        table: its one target column is named.
        position: of the row, in the answers' order.
        problem: what is wrong.
        task: the competition.
    """
    from mleb_core.grading.read import short

    row = table.submission.iloc[position]
    names = ", ".join(f"{name} {short(row[name])}" for name in task.grading.id)
    place = int(table.submission.index[position]) + 1  # the index still is each row's place in the file
    return InvalidSubmissionError(f"row {place} ({names}), column {next(iter(table.cells))!r}: {problem}")


def _rows(value: Any, chosen: "npt.NDArray[Any]") -> Any:
    return value[chosen] if hasattr(value, "shape") and value.shape else value


def _function(where: str) -> Callable[..., Any]:
    module, _, name = where.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
