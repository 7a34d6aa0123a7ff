"""What every grader of tables must keep."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mleb_core.competition_spec import Column, Grading
from mleb_core.errors import InvalidSubmissionError
from mleb_core.grading.protocol import Grader, GradingTask
from mleb_core.registry import Registry

__all__ = ["GraderContract"]


class GraderContract:
    """Subclass it and set `id`, `answers` and `worse`."""

    id: str
    """The grader's id."""
    answers: dict[str, list[Any]]
    """The truth by column; `id` names the rows; at least four rows."""
    worse: dict[str, list[Any]]
    """Valid predictions, without the ids, that must score worse than the truth."""
    options: dict[str, Any] = {}  # noqa: RUF012  # a class attribute to be overridden, as pytest classes are
    """`[grading.options]`."""
    columns: dict[str, Any] = {}  # noqa: RUF012
    """`[grading.columns]`."""

    @pytest.fixture
    def grader(self) -> Grader:
        """The grader, found as a user's mleb finds it."""
        return Registry().grader(self.id)

    @pytest.fixture
    def perfect(self) -> pd.DataFrame:
        """The answers with the columns that are predicted."""
        return pd.DataFrame(self.answers)[["id", *self.worse]]

    @pytest.fixture
    def task(self, tmp_path: Path, perfect: pd.DataFrame) -> GradingTask:
        """A competition of this grader, on disk."""
        public, private = tmp_path / "public", tmp_path / "private"
        public.mkdir()
        private.mkdir()
        pd.DataFrame(self.answers).to_csv(private / "answers.csv", index=False)
        perfect.assign(**{name: values[0] for name, values in self.worse.items()}).to_csv(
            public / "sample_submission.csv", index=False
        )
        columns = {name: Column.model_validate(rule) for name, rule in self.columns.items()}
        if not columns:
            columns = {
                name: Column.model_validate(getattr(Registry().grader(self.id), "column", None) or {})
                for name in self.worse
            }
        grading = Grading(grader=self.id, options=self.options, columns=columns)
        return GradingTask("contract", 1, grading, public, private)

    @pytest.fixture
    def score(self, grader: Grader, task: GradingTask, tmp_path: Path) -> Any:
        """Scores a table."""

        def score(table: pd.DataFrame) -> float:
            path = tmp_path / "submission.csv"
            table.to_csv(path, index=False)
            grader.validate(path, task)
            return grader.grade(path, task)

        return score

    def test_direction_and_summary_are_declared(self, grader: Grader) -> None:
        """A direction that is a plain bool, and a line for listings."""
        assert isinstance(grader.higher_is_better, bool)
        assert grader.summary
        assert "\n" not in grader.summary

    def test_the_truth_beats_worse_predictions(self, grader: Grader, score: Any, perfect: pd.DataFrame) -> None:
        """In the declared direction."""
        best, worse = score(perfect), score(perfect.assign(**self.worse))
        assert best > worse if grader.higher_is_better else best < worse

    def test_order_and_further_columns_do_not_matter(self, score: Any, perfect: pd.DataFrame) -> None:
        """Rows are aligned by id, columns by name, others ignored."""
        table = perfect.assign(**self.worse)
        turned = table.iloc[::-1][table.columns[::-1]].assign(further="x")
        assert score(turned) == pytest.approx(score(table), abs=1e-12)

    @pytest.mark.parametrize(
        "fault", ["row missing", "id repeated", "id unknown", "column missing", "id column missing", "no rows"]
    )
    def test_a_broken_submission_is_refused_in_one_line(self, score: Any, perfect: pd.DataFrame, fault: str) -> None:
        """InvalidSubmissionError, never another error and never a score."""
        unknown = perfect["id"].astype(object)
        unknown.iloc[-1] = "no-such-id"
        repeated = perfect["id"].copy()
        repeated.iloc[-1] = repeated.iloc[0]
        broken = {
            "row missing": perfect.iloc[:-1],
            "id repeated": perfect.assign(id=repeated),
            "id unknown": perfect.assign(id=unknown),
            "column missing": perfect.drop(columns=[perfect.columns[-1]]),
            "id column missing": perfect.drop(columns=["id"]),
            "no rows": perfect.iloc[:0],
        }[fault]
        with pytest.raises(InvalidSubmissionError) as caught:
            score(broken)
        assert str(caught.value).strip()
        assert "\n" not in str(caught.value)
