"""champs-scalar-coupling as published: a submission may repeat rows."""

from dataclasses import replace
from typing import TYPE_CHECKING

from mleb_core.errors import InvalidSubmissionError
from mleb_core.grading.table import Pairing, TableGrader

if TYPE_CHECKING:
    import pandas as pd

    from mleb_core.grading.table import Array

__all__ = ["GRADERS", "RepeatedRowsCount"]


class RepeatedRowsCount(TableGrader):
    """A TableGrader for which an id may stand several times, with equal predictions: each row counts.

    The published grader of champs-scalar-coupling compares sets of ids and then joins, so a row that is handed in twice
    weighs twice. Rows of one id that differ are refused here.
    """

    def align(self, given: Pairing) -> "tuple[pd.DataFrame, Array]":
        """One row of the answers for each row of the submission, in its order."""
        import numpy as np

        from mleb_core.grading.ids import row_name

        table, ids = given.table, list(given.task.grading.id)
        again = table.duplicated(ids).to_numpy()
        first, order = super().align(replace(given, table=table[~again]))
        if not again.any():
            return first, order
        code = table.groupby(ids, sort=False, dropna=False).ngroup().to_numpy()
        for name in given.task.grading.columns:
            values = table[name]
            differs = ~(values.eq(values[~again].take(code).set_axis(values.index)) | values.isna()).to_numpy()
            if differs.any():
                row = int(np.argmax(differs))
                raise InvalidSubmissionError(
                    f"{row_name(table, ids, row)}, column {name!r}: the id stands there already with another prediction"
                )
        answer = np.empty(len(order), dtype=np.intp)
        answer[order] = np.arange(len(order))
        return first.take(answer[code]), np.arange(len(table), dtype=np.intp)


GRADERS = (
    RepeatedRowsCount(
        id="group-mean-log-mae-of-rows",
        metric="mleb_metrics.regression:group_mean_log_mae",
        higher_is_better=False,
        summary="mean over groups of the logarithm of the mean absolute error, rows repeated alike counting each time",
    ),
)
