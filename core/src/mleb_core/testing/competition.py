"""What every competition must keep."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mleb_core.competition import Competition
from mleb_core.grading.grade import Grade, grade_submission
from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare
from mleb_core.prepare.checksums import tree_sums
from mleb_core.registry import Registry

__all__ = ["CompetitionContract"]


class CompetitionContract:
    """Subclass it and set `id`. Override `perfect_submission` where the answers are not shaped like a submission."""

    id: str
    """The competition's id, or label with an edition."""
    raw_dir: Path | None = None
    """Raw data, where raw.py does not make it."""

    def perfect_submission(self, competition: Competition, data: CompetitionData) -> pd.DataFrame:
        """The best submission there can be; here the answers with the sample submission's columns."""
        grading = competition.spec.grading
        columns = pd.read_csv(data.public / grading.sample, nrows=0).columns
        return pd.read_csv(data.private / grading.answers)[list(columns)]

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls) -> Registry:
        """All plugins that are installed."""
        return Registry()

    @pytest.fixture(scope="class")
    @classmethod
    def competition(cls, registry: Registry) -> Competition:
        """The competition, found as a user's mleb finds it."""
        return registry.competition(cls.id)

    @pytest.fixture(scope="class")
    @classmethod
    def data_dir(cls, competition: Competition, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A data directory with the competition prepared in it."""
        data_dir = tmp_path_factory.mktemp("data")
        prepare(competition, data_dir, raw_dir=cls.raw_dir)
        return data_dir

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, competition: Competition, data_dir: Path) -> CompetitionData:
        """The prepared data."""
        return CompetitionData.of(data_dir, competition.label)

    @pytest.fixture
    def graded(self, competition: Competition, data_dir: Path, registry: Registry, tmp_path: Path) -> Any:
        """Grades a table or a file."""

        def grade(submission: pd.DataFrame | Path) -> Grade:
            if isinstance(submission, pd.DataFrame):
                path = tmp_path / "submission.csv"
                submission.to_csv(path, index=False)
                submission = path
            return grade_submission(submission, competition, data_dir, registry)

        return grade

    def test_files_are_valid_and_the_grader_is_there(self, competition: Competition, registry: Registry) -> None:
        """competition.toml validates, description.md says something, the directions agree."""
        grader = registry.grader(competition.spec.grading.grader)
        assert competition.spec.leaderboard.higher_is_better == grader.higher_is_better
        assert len(competition.description.split()) >= 20

    def test_prepares_twice_to_the_same_bytes(
        self, competition: Competition, data: CompetitionData, tmp_path: Path
    ) -> None:
        """A second preparation, elsewhere, gives the same files."""
        again = prepare(competition, tmp_path, raw_dir=self.raw_dir)
        assert tree_sums(again.prepared) == tree_sums(data.prepared)

    def test_sample_is_valid_and_earns_no_medal(
        self, competition: Competition, data: CompetitionData, graded: Any
    ) -> None:
        """The sample submission is accepted and worth nothing."""
        grade = graded(data.public / competition.spec.grading.sample)
        assert grade.valid, grade.reason or grade.grader_error
        assert competition.spec.leaderboard.thresholds.medal(grade.score) == "none"

    def test_answers_earn_the_best_score(self, competition: Competition, data: CompetitionData, graded: Any) -> None:
        """The answers are accepted, earn gold, and nothing on the board beats them."""
        board = competition.spec.leaderboard
        grade = graded(self.perfect_submission(competition, data))
        assert grade.valid, grade.reason or grade.grader_error
        assert board.thresholds.medal(grade.score) == "gold"
        best = [score for score in (board.top, board.gold) if score is not None]
        assert all(grade.score >= s if board.higher_is_better else grade.score <= s for s in best)

    def test_order_of_rows_and_columns_does_not_matter(
        self, competition: Competition, data: CompetitionData, graded: Any
    ) -> None:
        """Rows are aligned by id and columns by name."""
        perfect = self.perfect_submission(competition, data)
        turned = perfect.sample(frac=1, random_state=3)[perfect.columns[::-1]]
        assert graded(turned).score == graded(perfect).score

    def test_a_submission_without_its_last_row_is_refused(
        self, competition: Competition, data: CompetitionData, graded: Any
    ) -> None:
        """Every row must be predicted, and the reason is one line."""
        grade = graded(self.perfect_submission(competition, data).iloc[:-1])
        assert not grade.valid
        assert grade.reason
        assert "\n" not in grade.reason

    def test_no_answer_is_public(self, competition: Competition, data: CompetitionData) -> None:
        """No public table gives a test row's target, under its own name or as a column that equals it."""
        grading = competition.spec.grading
        answers = pd.read_csv(data.private / grading.answers, dtype=str)
        secret = {_digest(path) for path in data.private.rglob("*") if path.is_file()}
        ids, targets = list(grading.id), [c for c in answers.columns if c not in grading.id]
        answers = answers.set_index(ids)
        for path in sorted(p for p in data.public.rglob("*") if p.is_file()):
            assert _digest(path) not in secret, f"{path.name} is a private file"
            if path.suffix != ".csv" or path == data.public / grading.sample:
                continue
            table = pd.read_csv(path, dtype=str)
            if not set(ids) <= set(table.columns):
                continue
            table = table.set_index(ids)
            table = table.loc[table.index.isin(answers.index) & ~table.index.duplicated()]
            if table.empty:
                continue
            for target in targets:
                truth = answers[target].reindex(table.index)
                for column in table.columns:
                    same = bool((table[column] == truth).all()) and truth.nunique() > 1
                    assert not same, f"{path.name}: column {column!r} holds the answers to {target!r}"


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
