"""The small competition that agents and runners meet in their contracts."""

from pathlib import Path
from typing import Any

from mleb_core.competition import Competition
from mleb_core.grading.table import TableGrader
from mleb_core.instructions import render_instructions
from mleb_core.layout import CompetitionData, RunLayout
from mleb_core.prepare import prepare
from mleb_core.run import Limits, RunKey
from mleb_core.runner.protocol import Job

__all__ = ["TinyRegistry", "tiny_job", "tiny_prepared"]

TINY = Competition(Path(__file__).parent / "tiny")


def _accuracy(truth: Any, predicted: Any) -> float:
    return float((truth == predicted).mean())


class TinyRegistry:
    """Knows the tiny competition's grader and nothing else."""

    def grader(self, id: str) -> TableGrader:
        """The grader, whatever the id."""
        return TableGrader(id, _accuracy, higher_is_better=True, summary="Share of rows that are right.")


def tiny_prepared(data_dir: Path) -> CompetitionData:
    """Prepare the tiny competition below `data_dir`."""
    return prepare(TINY, data_dir)


def tiny_job(root: Path, data: CompetitionData, scaffold: Any, *, limits: Limits | None = None, **changes: Any) -> Job:
    """A job on the tiny competition in the new directory `root`.

    Args:
        root: the run's directory; its parents are made too.
        data: the tiny competition, prepared.
        scaffold: the agent's.
        limits: two minutes if None.
        changes: other fields of the job.
    """
    root.mkdir(parents=True, exist_ok=True)
    limits = limits or Limits(time_s=120, grace_s=2)
    fields: dict[str, Any] = {
        "key": RunKey(competition="tiny", agent=scaffold.id, seed=0),
        "layout": RunLayout(root),
        "public": data.public,
        "description": TINY.description,
        "instructions": render_instructions(limits=limits, sample=TINY.spec.grading.sample),
        "scaffold": scaffold,
        "variant": None,
        "model": None,
        "settings": {},
        "limits": limits,
        "env": {},
    }
    return Job(**{**fields, **changes})
