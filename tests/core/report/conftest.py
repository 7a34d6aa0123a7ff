"""Groups, runs and reports to test with, as real files where it matters."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mleb_core.layout import GroupLayout
from mleb_core.report.models import CompetitionReport, RunReport
from mleb_core.run import Cause, Limits, Outcome, Run, RunGroup, RunKey, RunStatus, now

Medals = dict[str, bool]


@pytest.fixture
def group() -> RunGroup:
    """Two agents on three competitions, one of them in its second edition, with three seeds."""
    return RunGroup(
        name="2026-01-31T12-00-00_run-group_dummy",
        created_at="2026-01-31T12:00:00.000+00:00",
        competitions=("iris", "wine", "digits@2"),
        agents=("dummy", "aide/o1"),
        seeds=3,
        split="samples",
        runner="local",
        engine="local",
        workers=2,
        limits=Limits(time_s=60),
        data_dir="data",
        plugins={"mleb-core": "0.1.0"},
    )


@pytest.fixture
def graded() -> Callable[..., CompetitionReport]:
    """A graded submission: `graded("iris@2", "gold", ...)`, further fields by name."""

    def make(label: str = "iris", medal: str = "none", **fields: object) -> CompetitionReport:
        name, _, edition = label.partition("@")
        return CompetitionReport.model_validate(
            {
                "competition_id": name,
                "edition": int(edition or 1),
                "score": 0.5,
                "gold_threshold": 0.9,
                "silver_threshold": 0.8,
                "bronze_threshold": 0.7,
                "median_threshold": 0.6,
                "medal": medal,
                "any_medal": medal != "none",
                "gold_medal": medal == "gold",
                "silver_medal": medal == "silver",
                "bronze_medal": medal == "bronze",
                "above_median": medal != "none",
                "submission_exists": True,
                "valid_submission": True,
                "is_lower_better": False,
                "created_at": now(),
                "submission_path": "submission.csv",
                **fields,
            }
        )

    return make


@pytest.fixture
def finished() -> Callable[..., Run]:
    """A finished run: `finished(key, ...)`; `cause` and `message` go to its outcome."""

    def make(
        key: RunKey,
        status: RunStatus = RunStatus.FINISHED,
        cause: Cause | None = None,
        message: str = "",
        refused: tuple[str, ...] = (),
        attempt: int = 1,
    ) -> Run:
        outcome = Outcome(status=status, cause=cause, message=message, exit_code=0, runtime_s=1.5, refused=refused)
        return Run(
            key=key, group="g", status=status, attempt=attempt, outcome=outcome, created_at=now(), ended_at=now()
        )

    return make


@pytest.fixture
def on_disk(tmp_path: Path) -> Callable[..., Path]:
    """Write a group, runs and reports as the harness does; returns the group's directory."""

    def write(group: RunGroup, runs: list[Run], reports: list[RunReport]) -> Path:
        layout = GroupLayout(tmp_path / group.name)
        layout.root.mkdir()
        layout.group.write_text(group.model_dump_json(indent=2))
        for run in runs:
            place = layout.run(run.key.competition, run.key.agent, run.key.seed)
            place.root.mkdir(parents=True)
            place.run.write_text(run.model_dump_json(indent=2))
        for report in reports:
            place = layout.run(report.key.competition, report.key.agent, report.key.seed)
            place.root.mkdir(parents=True, exist_ok=True)
            place.report.write_text(report.model_dump_json(indent=2))
        return layout.root

    return write
