"""What every agent must keep, seen through a real run on a tiny competition."""

from pathlib import Path
from typing import Any

import pytest

from mleb_core.agent import AgentId, Scaffold
from mleb_core.grading.grade import grade_submission
from mleb_core.layout import CompetitionData
from mleb_core.prepare.checksums import tree_sums
from mleb_core.registry import Registry
from mleb_core.run import Outcome, RunStatus
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Job, Stop
from mleb_core.testing.tinies import TINY, TinyRegistry, tiny_job, tiny_prepared

__all__ = ["AgentContract"]


class AgentContract:
    """Subclass it and set `id`. The agent runs once, in the local runner, on a table of 180 rows."""

    id: str
    """Agent id."""
    settings: dict[str, Any] = {}  # noqa: RUF012  # a class attribute to be overridden, as pytest classes are
    """Settings for the run."""
    env: dict[str, str] = {}  # noqa: RUF012
    """Further environment for the run, such as a scripted model server's address."""
    model_name: str | None = None
    """Model for an agent that needs one, as with --model. There is no gateway: `env` says where it is."""

    @pytest.fixture(scope="class")
    @classmethod
    def scaffold(cls) -> Scaffold:
        """The scaffold, found as a user's mleb finds it."""
        return Registry().scaffold(cls.id)[0]

    @pytest.fixture(scope="class")
    @classmethod
    def data_dir(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The tiny competition, prepared."""
        data_dir = tmp_path_factory.mktemp("data")
        tiny_prepared(data_dir)
        return data_dir

    @pytest.fixture(scope="class")
    @classmethod
    def finished(
        cls, scaffold: Scaffold, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> tuple[Job, Outcome]:
        """A run of the agent: what was asked for, and how it ended."""
        data = CompetitionData.of(data_dir, TINY.label)
        changes: dict[str, Any] = {
            "variant": AgentId.parse(cls.id).variant,
            "model": cls.model_name,
            "settings": cls.settings,
            "env": cls.env,
        }
        job = tiny_job(tmp_path_factory.mktemp("run") / "0", data, scaffold, **changes)
        return job, LocalRunner().run(job, Stop())

    def test_variants_make_agent_ids(self, scaffold: Scaffold) -> None:
        """Each variant can be asked for by its id."""
        for variant in scaffold.variants():
            assert AgentId.parse(f"{scaffold.id}/{variant}").variant == variant

    def test_ends_by_itself_and_well(self, finished: tuple[Job, Outcome]) -> None:
        """Exit code 0 within the time."""
        job, outcome = finished
        assert outcome.status is RunStatus.FINISHED, job.layout.log.read_text(errors="replace")[-2000:]

    def test_hands_in_a_valid_submission(self, finished: tuple[Job, Outcome], data_dir: Path) -> None:
        """submission.csv is there and the grader takes it."""
        job, _ = finished
        grade = grade_submission(job.layout.submission, TINY, data_dir, TinyRegistry())
        assert grade.valid, grade.reason or grade.grader_error

    def test_leaves_the_data_as_it_was(self, finished: tuple[Job, Outcome], data_dir: Path, tmp_path: Path) -> None:
        """Public files are the bytes that they were."""
        assert finished
        assert tree_sums(CompetitionData.of(data_dir, TINY.label).prepared) == tree_sums(
            tiny_prepared(tmp_path).prepared
        )

    def test_nothing_of_it_is_refused(self, finished: tuple[Job, Outcome]) -> None:
        """It leaves regular files only."""
        assert finished[1].refused == ()
