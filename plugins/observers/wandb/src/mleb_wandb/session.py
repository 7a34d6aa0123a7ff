"""One run group as Weights & Biases has it. Works in the observer's own process."""

import hashlib
import os
from typing import TYPE_CHECKING, Any, Literal

from mleb_core.layout import RunLayout
from mleb_core.observing.facts import (
    clean_report,
    group_config,
    group_results,
    resource_series,
    run_config,
    run_results,
    snapshot_series,
)
from mleb_core.observing.protocol import Watched
from mleb_core.report.models import GroupReport, RunReport
from mleb_core.run import Run, RunKey, RunStatus
from mleb_wandb.settings import Settings

if TYPE_CHECKING:
    import wandb

__all__ = ["WandbSession", "run_id"]

_UNDER_WAY = (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.COLLECTING, RunStatus.GRADING)
_SERIES = ("resources/*", "snapshots/*")


class WandbSession:
    """Keeps a W&B run open for each of the group's runs that is under way."""

    def __init__(self, watched: Watched, settings: Settings) -> None:
        # W&B reports its own faults to its maker unless told otherwise, and those may name a user's files.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        self._watched, self._settings = watched, settings
        self._mode: Literal["online", "offline"] | None = settings.mode
        self._open: dict[RunKey, wandb.Run] = {}

    def run_changed(self, run: Run, place: RunLayout) -> None:
        """Open the W&B run when the agent is about to start; keep its status."""
        if run.status in _UNDER_WAY:
            there = self._run(run)
            there.summary["status"] = run.status.value
            there.config.update({"attempt": run.attempt}, allow_val_change=True)  # type: ignore[no-untyped-call]
        elif run.status is RunStatus.INTERRUPTED and run.key in self._open:
            self._open[run.key].summary["status"] = run.status.value
            self._open.pop(run.key).finish(exit_code=1)

    def run_finished(self, run: Run, report: RunReport, place: RunLayout) -> None:
        """Send what came out, and end the W&B run."""
        there = self._run(run)
        for name in _SERIES:
            there.define_metric(name, step_metric="elapsed_s")
        for elapsed_s, values in sorted([*resource_series(place), *snapshot_series(place)], key=lambda point: point[0]):
            there.log({"elapsed_s": elapsed_s, **values})
        there.summary.update(run_results(report, place))
        if self._settings.artifacts:
            self._keep(there, report, place)
        there.finish(exit_code=0 if report.status is RunStatus.FINISHED else 1)
        self._open.pop(run.key, None)

    def close(self, report: GroupReport | None) -> None:
        """End what is still open; a group that has finished gets a run for its own figures."""
        for key in list(self._open):
            self._open.pop(key).finish(exit_code=1)
        if report is None:
            return
        group = self._watched.group
        there = self._init(f"group {group.name}", self._id("group"), group_config(group), "group")
        there.summary.update(group_results(report))
        if self._settings.artifacts:
            artifact = self._artifact("group", self._id("group"))
            with artifact.new_file("report.json", mode="w", encoding="utf-8") as stream:
                stream.write(clean_report(report))
            there.log_artifact(artifact)
        there.finish(exit_code=0)

    def _run(self, run: Run) -> "wandb.Run":
        """The W&B run of a run, opened where it is not."""
        if run.key not in self._open:
            name = f"{run.key.competition} {run.key.agent} {run.key.seed}"
            config = run_config(self._watched.group, run)
            self._open[run.key] = self._init(name, run_id(self._watched, run.key), config, "run")
        return self._open[run.key]

    def _init(self, name: str, id: str, config: dict[str, Any], kind: str) -> "wandb.Run":
        import wandb

        # Of the machine, the checkout and this process nothing is told: the group's configuration says what was run.
        quiet = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            host="mleb",
            save_code=False,
            silent=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        return wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            dir=self._watched.folder,
            id=id,
            name=name,
            group=self._watched.group.name,
            job_type=kind,
            tags=self._settings.tags or None,
            config=config,
            mode=self._mode,
            resume=None if self._offline else "allow",
            reinit="create_new",
            settings=quiet,
        )

    @property
    def _offline(self) -> bool:
        return (self._mode or os.environ.get("WANDB_MODE", "online")) != "online"

    def _keep(self, there: "wandb.Run", report: RunReport, place: RunLayout) -> None:
        artifact = self._artifact("run", run_id(self._watched, report.key))
        with artifact.new_file("report.json", mode="w", encoding="utf-8") as stream:
            stream.write(clean_report(report))
        if place.submission.is_file() and not place.submission.is_symlink():
            artifact.add_file(str(place.submission), name="submission.csv")
        there.log_artifact(artifact)

    @staticmethod
    def _artifact(kind: str, id: str) -> "wandb.Artifact":
        import wandb

        return wandb.Artifact(name=f"{kind}-{id}", type=f"mleb-{kind}")

    def _id(self, what: str) -> str:
        return _digest(self._watched, what)


def run_id(watched: Watched, key: RunKey) -> str:
    """The W&B id of a run: the same for the same run of a group, so that --resume goes on with it."""
    return _digest(watched, f"{key.competition} {key.agent} {key.seed}")


def _digest(watched: Watched, what: str) -> str:
    group = watched.group
    return hashlib.sha256(f"{group.name}\n{group.created_at}\n{what}".encode()).hexdigest()[:16]
