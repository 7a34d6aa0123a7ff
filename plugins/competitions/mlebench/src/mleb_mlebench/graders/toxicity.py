"""jigsaw-unintended-bias-in-toxicity-classification as published: decisions are scored, gaps are allowed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.errors import InvalidSubmissionError
from mleb_core.grading.table import TableGrader

if TYPE_CHECKING:
    from mleb_core.grading.protocol import GradingTask
    from mleb_core.grading.table import CheckedTable

__all__ = ["GRADERS", "DecisionBias"]


class DecisionBias(TableGrader):
    """A TableGrader that cuts predictions to 0 and 1 at 0.5 before the metric, with these peculiarities:

    the column may be called `toxicity`, as in the answers, instead of `prediction`, but not both; an empty cell counts
    as 0. A few empty cells, two or up to 5 % of the rows, look like an accident and are refused.
    """

    THRESHOLD = 0.5
    COLUMN, OTHER_NAME = "prediction", "toxicity"
    ACCIDENT, ACCIDENT_ROWS = 0.05, 2

    def check(self, submission: Path, task: "GradingTask") -> "CheckedTable":
        """As in TableGrader, after choosing the column and looking at its gaps."""
        from mleb_core.grading.ids import row_name
        from mleb_core.grading.options import split_options
        from mleb_core.grading.read import read_submission

        own, _ = split_options(task.grading.options)
        table = read_submission(submission, **own.read)
        column = self.COLUMN
        if self.OTHER_NAME in table:
            if column in table:
                raise InvalidSubmissionError(f"columns {column!r} and {self.OTHER_NAME!r} are both there; keep one")
            column = self.OTHER_NAME
            columns = {column: task.grading.columns[self.COLUMN]}
            task = replace(task, grading=task.grading.model_copy(update={"columns": columns}))
        if column in table:
            gaps = table[column].isna().to_numpy()
            if 0 < gaps.sum() <= max(self.ACCIDENT * len(gaps), self.ACCIDENT_ROWS):
                where = row_name(table, task.grading.id, int(gaps.argmax()))
                raise InvalidSubmissionError(f"{where}, column {column!r}: the cell is empty; a number is expected")
        return super().check(submission, task)

    def score(self, table: "CheckedTable", task: "GradingTask", options: Mapping[str, Any]) -> float:
        """The metric of decisions."""
        return super().score(table, task, {**options, "predicted_threshold": self.THRESHOLD})


GRADERS = (
    DecisionBias(
        id="unintended-bias-auc-of-decisions",
        metric="mleb_metrics.roc:unintended_bias_auc",
        higher_is_better=True,
        summary="area under the ROC curve of predictions cut to 0 and 1, overall and over identity subgroups",
    ),
)
