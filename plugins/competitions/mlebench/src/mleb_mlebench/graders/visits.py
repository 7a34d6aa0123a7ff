"""osic-pulmonary-fibrosis-progression: only the last measured weeks of each patient are scored."""

from typing import TYPE_CHECKING

from mleb_core.errors import GraderError
from mleb_core.grading.table import TableGrader

if TYPE_CHECKING:
    import pandas as pd

    from mleb_core.grading.options import TableOptions
    from mleb_core.grading.table import Array

__all__ = ["GRADERS", "LastWeeks"]


class LastWeeks(TableGrader):
    """A TableGrader that scores the last three rows by `Weeks` of each `Patient` whose `FVC` was measured.

    A patient with fewer measured weeks has them all scored.
    """

    LAST = 3

    def scored(self, answers: "pd.DataFrame", own: "TableOptions") -> "Array | None":
        """Which rows of the answers are scored, shape (n,) of bool."""
        if missing := [name for name in ("Patient", "Weeks", "FVC") if name not in answers]:
            raise GraderError(f"the answers have no column {missing[0]!r}")
        measured = answers[answers["FVC"].notna()].sort_values("Weeks", kind="stable")
        if measured.empty:
            raise GraderError("the answers hold no measured week")
        rows: Array = answers.index.isin(measured.groupby("Patient").tail(self.LAST).index)
        return rows


GRADERS = (
    LastWeeks(
        id="laplace-log-likelihood-of-last-weeks",
        metric="mleb_metrics.probabilistic:laplace_log_likelihood",
        higher_is_better=True,
        summary="Laplace log likelihood of values with a predicted sigma, over each patient's last three weeks",
    ),
)
