"""One run group as MLflow has it. Works in the observer's own process."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from mleb_core.layout import RunLayout
from mleb_core.observing.facts import (
    Value,
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
from mleb_core.run import Run, RunStatus
from mleb_mlflow.observer import tracking_uri
from mleb_mlflow.settings import Settings

__all__ = ["MlflowSession"]

T = TypeVar("T")

_BATCH = 100
_LONGEST = 5000
_ENDS = {RunStatus.FINISHED: "FINISHED", RunStatus.CANCELLED: "KILLED"}
_TAG = "mleb.run"
_UNDER_WAY = (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.COLLECTING, RunStatus.GRADING)


class MlflowSession:
    """Knows the MLflow run of the group and of each of its runs."""

    def __init__(self, watched: Watched, settings: Settings) -> None:
        uri = tracking_uri(settings.tracking_uri)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        if urlsplit(uri).scheme == "file":
            # The plain directory is in maintenance mode and must be asked for; it needs no database and no server.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient

        self._watched, self._settings = watched, settings
        self._client = MlflowClient(tracking_uri=uri)
        self._experiment = self._experiment_id(settings.experiment)
        self._ids: dict[str, str] = {}
        group = watched.group
        self._parent = self._mlflow_run("", group.name, {"mleb.kind": "group"}, group_config(group))
        self._client.update_run(self._parent, status="RUNNING")

    def run_changed(self, run: Run, place: RunLayout) -> None:
        """Make the child run when the agent is about to start; keep its status."""
        if run.status in _UNDER_WAY:
            id = self._child(run)
            self._client.set_tag(id, "status", run.status.value)
            if run.status is RunStatus.PREPARING and run.attempt > 1:
                self._client.update_run(id, status="RUNNING")
        elif run.status is RunStatus.INTERRUPTED and str(run.key) in self._ids:
            id = self._child(run)
            self._client.set_tag(id, "status", run.status.value)
            self._client.set_terminated(id, "KILLED")

    def run_finished(self, run: Run, report: RunReport, place: RunLayout) -> None:
        """Log what came out, and end the child run."""
        id = self._child(run)
        start_ms = _milliseconds(report.started_at)
        self._log_results(id, run_results(report, place))
        self._log_series(id, [*resource_series(place), *snapshot_series(place)], start_ms)
        if self._settings.artifacts:
            self._keep(id, report)
            if place.submission.is_file() and not place.submission.is_symlink():
                self._client.log_artifact(id, str(place.submission))
        self._client.set_terminated(id, _ENDS.get(report.status, "FAILED"), _milliseconds(report.ended_at))

    def close(self, report: GroupReport | None) -> None:
        """End the parent run with the group's figures, or as killed where the group was interrupted."""
        if report is not None:
            self._log_results(self._parent, group_results(report))
            if self._settings.artifacts:
                self._keep(self._parent, report)
        self._client.set_terminated(self._parent, "FINISHED" if report is not None else "KILLED")

    def _child(self, run: Run) -> str:
        tags = {"mlflow.parentRunId": self._parent, "mleb.kind": "run"}
        # A parameter can never be changed, and the attempt can.
        config = {k: v for k, v in run_config(self._watched.group, run).items() if k != "attempt"}
        return self._mlflow_run(str(run.key), str(run.key), tags, config, _milliseconds(run.started_at))

    def _mlflow_run(
        self, what: str, name: str, tags: Mapping[str, str], config: Mapping[str, Value], start_ms: int | None = None
    ) -> str:
        """The id of an MLflow run, made where there is none; a group that goes on finds its own again."""
        if what in self._ids:
            return self._ids[what]
        mark = f"{self._watched.group.name} {self._watched.group.created_at} {what}".strip()
        quoted = mark.replace("'", "\\'")
        found = self._client.search_runs([self._experiment], f"tags.`{_TAG}` = '{quoted}'", max_results=1)
        if found:
            id = found[0].info.run_id
        else:
            tags = {**tags, _TAG: mark, "mleb.group": self._watched.group.name}
            id = self._client.create_run(self._experiment, start_time=start_ms, tags=tags, run_name=name).info.run_id
            self._log_params(id, config)
        self._ids[what] = id
        return str(id)

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.create_experiment(name))
        except MlflowException:  # another group has just made it
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _log_params(self, id: str, config: Mapping[str, Value]) -> None:
        from mlflow.entities import Param

        params = [Param(_key(name), str(value)[:_LONGEST]) for name, value in config.items()]
        for batch in _batches(params, _BATCH):
            self._client.log_batch(id, params=batch)

    def _log_results(self, id: str, results: Mapping[str, Value]) -> None:
        """Numbers become metrics, texts tags."""
        from mlflow.entities import Metric, RunTag

        now_ms = int(time.time() * 1000)
        numbers = [Metric(_key(k), float(v), now_ms, 0) for k, v in results.items() if not isinstance(v, str)]
        texts = [RunTag(_key(k), v[:_LONGEST]) for k, v in results.items() if isinstance(v, str)]
        for metrics in _batches(numbers, _BATCH):
            self._client.log_batch(id, metrics=metrics)
        for tags in _batches(texts, _BATCH):
            self._client.log_batch(id, tags=tags)

    def _log_series(self, id: str, points: Sequence[tuple[float, Mapping[str, float]]], start_ms: int | None) -> None:
        """Values over time: a point's step is its whole seconds since the agent started."""
        from mlflow.entities import Metric

        start_ms = start_ms if start_ms is not None else int(time.time() * 1000)
        metrics = [
            Metric(_key(name), value, start_ms + int(elapsed_s * 1000), int(elapsed_s))
            for elapsed_s, values in points
            for name, value in values.items()
        ]
        for batch in _batches(metrics, 1000):
            self._client.log_batch(id, metrics=batch)

    def _keep(self, id: str, report: RunReport | GroupReport) -> None:
        with tempfile.TemporaryDirectory(dir=self._watched.folder) as folder:
            path = Path(folder) / "mleb_report.json"
            path.write_text(clean_report(report), encoding="utf-8")
            self._client.log_artifact(id, str(path))


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _key(name: str) -> str:
    """A name as MLflow takes it: letters, digits, and _ - . / and blanks."""
    return "".join(c if c.isalnum() or c in "_-./ " else "_" for c in name)[:250]


def _milliseconds(time_: str | None) -> int | None:
    return None if time_ is None else int(datetime.fromisoformat(time_).timestamp() * 1000)
