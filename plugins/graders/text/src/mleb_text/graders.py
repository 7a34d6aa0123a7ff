"""Graders that are more than a metric of columns. Nothing heavy is imported before something is graded."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.table import CheckedTable, TableGrader

if TYPE_CHECKING:
    from mleb_core.grading.protocol import GradingTask
    from mleb_text.spans import Answer

__all__ = ["OrderGrader", "SpanGrader"]


class OrderGrader(TableGrader):
    """Each row is an order of the items that the answers order: all of them, each once.

    Which items a row has is no secret, so `validate` checks them, too, and its message may name them.
    """

    def check(self, submission: Path, task: "GradingTask") -> CheckedTable:
        """All checks of a table, then the items of each row; see `TableGrader.check`."""
        from mleb_core.grading.read import short
        from mleb_text.orders import NotTheItemsError, places

        table = super().check(submission, task)
        try:
            ranks, sizes = places(self.truth(table, task), table.predicted)
        except NotTheItemsError as error:
            # Rows stand in the order of the answers; the index still has their places in the file.
            found, place = table.submission.iloc[error.row], int(table.submission.index[error.row])
            ids = ", ".join(f"{name} {short(found[name])}" for name in task.grading.id)
            (column,) = table.cells
            raise InvalidSubmissionError(f"row {place + 1} ({ids}), column {column!r}: {error.problem}") from None
        return replace(table, extras={**table.extras, "ranks": ranks, "sizes": sizes})

    def score(self, table: CheckedTable, task: "GradingTask", options: Mapping[str, Any]) -> float:
        """The pooled Kendall tau of the ranks that `check` found."""
        from mleb_text.orders import tau_of_ranks

        return tau_of_ranks(table.extras["ranks"], table.extras["sizes"])


class SpanGrader(TableGrader):
    """Answers to the Natural Questions: the truth is JSON lines, several answers may be right.

    A submission has two rows for each example, `<example_id>_short` and `<example_id>_long`; see `spans`.
    Options: `count_blanks`, of `span_micro_f1`.
    """

    def check(self, submission: Path, task: "GradingTask") -> CheckedTable:
        """Columns, ids and the form of each cell; the truth goes into the column `valid` of the answers.

        Raises:
            InvalidSubmissionError: as in `TableGrader.check`.
            GraderError: the answers are missing or not of the form.
        """
        import numpy as np
        import pandas as pd

        from mleb_core.grading.cells import check_cells, column_rules
        from mleb_core.grading.ids import align_by_id, check_columns, row_name
        from mleb_core.grading.options import split_options
        from mleb_core.grading.read import read_submission, short
        from mleb_text.spans import span

        own, _ = split_options(task.grading.options)
        ids = task.grading.id
        rules = column_rules(task.grading.columns, [], ids)
        if len(ids) != 1 or len(rules) != 1:
            raise GraderError(f"{task.competition_id}: {self.id} needs one id column and one target column")
        names, valid = _valid_answers(task.answers, *_state(task.answers))
        answers = pd.DataFrame({ids[0]: list(names)})
        table = read_submission(submission, **own.read)
        check_columns(table, ids, list(rules))
        order = align_by_id(table, answers, ids)
        cells = check_cells(table, rules, ids=ids)
        (column,) = cells
        predicted = np.empty(len(table), dtype=object)
        for row, text in enumerate(cells[column]):
            try:
                predicted[row] = span(text)
            except ValueError:
                where = f"{row_name(table, ids, row)}, column {column!r}"
                raise InvalidSubmissionError(f"{where}: {short(text)} is not start:end, YES, NO or empty") from None
        truth = np.empty(len(valid), dtype=object)
        truth[:] = valid
        return CheckedTable(table.iloc[order], answers.assign(valid=truth), cells, predicted[order], {})

    def blind_answers(self, task: "GradingTask", target: Path) -> None:
        """The sample submission's examples, none with an answer; see `mleb_core.grading.blind`."""
        from mleb_core.grading.options import split_options
        from mleb_core.grading.read import read_answers
        from mleb_text.spans import write_unanswered

        own, _ = split_options(task.grading.options)
        rows = read_answers(task.sample, **own.read)[task.grading.id[0]]
        write_unanswered(dict.fromkeys(str(row).rpartition("_")[0] for row in rows), target)

    def score(self, table: CheckedTable, task: "GradingTask", options: Mapping[str, Any]) -> float:
        """The metric of the parsed answers."""
        return self._metric()(table.answers["valid"].tolist(), table.predicted.tolist(), **options)


def _state(path: Path) -> tuple[int, int, int]:
    """What changes when a file does."""
    try:
        status = path.stat()
    except OSError as error:
        raise GraderError(f"the answers {path} cannot be read: {error.strerror or error}; prepare them again") from None
    return status.st_mtime_ns, status.st_size, status.st_ino


@lru_cache(maxsize=2)
def _valid_answers(path: Path, *_: int) -> "tuple[tuple[str, ...], tuple[frozenset[Answer], ...]]":
    """`read_valid_answers`, kept until the file changes."""
    from mleb_text.spans import read_valid_answers

    ids, valid = read_valid_answers(path)
    return tuple(ids), tuple(valid)
