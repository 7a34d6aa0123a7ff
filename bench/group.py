"""A group of 10,000 finished runs: planning a resume (aim: 2 s) and `mleb report` (aims: 5 s, 300 MB)."""

import sys
import tempfile
from pathlib import Path

from common import command, seconds, table

from mleb_core.layout import GroupLayout
from mleb_core.planning import unsettled
from mleb_core.report.models import CompetitionReport, RunReport
from mleb_core.run import Limits, Outcome, Run, RunGroup, RunStatus, now

MLEB = str(Path(sys.executable).with_name("mleb"))


def make_group(directory: Path, runs: int) -> RunGroup:
    """Write a group of finished runs: 100 competitions, the rest seeds."""
    group = RunGroup(
        name=directory.name,
        created_at=now(),
        competitions=tuple(f"competition-{i:03d}" for i in range(100)),
        agents=("baseline",),
        seeds=runs // 100,
        runner="local",
        engine="local",
        workers=1,
        limits=Limits(),
        data_dir="data",
    )
    layout = GroupLayout(directory)
    layout.root.mkdir(parents=True)
    layout.group.write_text(group.model_dump_json())
    outcome = Outcome(status=RunStatus.FINISHED, exit_code=0, runtime_s=1.0)
    for key in group.run_keys():
        place = layout.run(key.competition, key.agent, key.seed)
        place.root.mkdir(parents=True)
        run = Run(key=key, group=group.name, status=RunStatus.FINISHED, attempt=1, outcome=outcome, created_at=now())
        place.run.write_text(run.model_dump_json())
        graded = CompetitionReport(
            competition_id=key.competition,
            score=0.5 + key.seed / 1000,
            gold_threshold=0.9,
            silver_threshold=0.8,
            bronze_threshold=0.55,
            median_threshold=0.5,
            any_medal=key.seed >= 50,
            gold_medal=False,
            silver_medal=False,
            bronze_medal=key.seed >= 50,
            above_median=key.seed > 0,
            submission_exists=True,
            valid_submission=True,
            is_lower_better=False,
            created_at=now(),
            submission_path="submission.csv",
            medal="bronze" if key.seed >= 50 else "none",
        )
        report = RunReport(
            key=key,
            group=group.name,
            status=run.status,
            attempt=1,
            created_at=run.created_at,
            runtime_s=1.0,
            exit_code=0,
            competition_report=graded,
        )
        place.report.write_text(report.model_dump_json())
    return group


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as root:
        directory = Path(root) / "group"
        group = make_group(directory, 10_000)
        rows = [("planning a resume", f"{seconds(lambda: unsettled(directory, group), 3):.2f}", "")]
        for form in ("table", "json", "csv", "markdown"):
            taken, memory = command(MLEB, "report", str(directory), "--format", form)
            rows.append((f"mleb report --format {form}", f"{taken:.2f}", f"{memory:.0f}"))
        table("10,000 finished runs", ("what", "seconds", "MB"), rows)


if __name__ == "__main__":
    main()
