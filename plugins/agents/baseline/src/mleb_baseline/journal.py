"""What the agent did: logs/journal.json, code/solution.py, and lines on its output."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_baseline.guard import Guard

if TYPE_CHECKING:
    from mleb_baseline.task import Task
    from mleb_baseline.train import Trial

__all__ = ["Journal"]


class Journal:
    """Kept up to date on disk while the agent works; files are written whole."""

    def __init__(self, logs: Path | None, code: Path | None, guard: Guard) -> None:
        """Args:
        logs: directory for journal.json; None: none is written.
        code: directory for solution.py; None: none is written.
        guard: its clock stamps the entries, its lock is held while writing.
        """
        self.logs, self.code, self.guard = logs, code, guard
        self.record: dict[str, Any] = {"format_version": 1, "notes": [], "task": {}, "trials": []}
        self.solution: dict[str, Any] = {}

    def say(self, line: str) -> None:
        """Print a line and note it."""
        print(f"[{self.guard.elapsed():6.1f} s] {line}", flush=True)
        self.record["notes"].append(line)
        self._save()

    def task(self, task: "Task") -> None:
        """Keep how the task was understood."""
        self.record["task"] = {
            "ids": task.ids,
            "metric": task.metric.name if task.metric else None,
            "train_rows": 0 if task.train is None else len(task.train),
            "test_rows": len(task.test),
            "targets": [
                {
                    "name": t.name,
                    "outputs": t.outputs[:50],
                    "form": t.form,
                    "kind": t.kind,
                    "classes": t.classes[:50],
                    "metric": t.metric.name,
                }
                for t in task.targets
            ],
        }
        for line in task.notes:
            self.say(line)

    def trial(self, target: str, trial: "Trial") -> None:
        """Keep one model's result and print it."""
        self.record["trials"].append({"target": target, "at": round(self.guard.elapsed(), 2), **asdict(trial)})
        score = "" if trial.score is None else f" {trial.score:.5f}"
        mark = " *" if trial.kept else ""
        note = f" ({trial.note})" if trial.note else ""
        print(
            f"[{self.guard.elapsed():6.1f} s] {target}: {trial.name}{score} in {trial.seconds:.1f} s{mark}{note}",
            flush=True,
        )
        self._save()

    def chosen(self, target: str, metric: str, recipe: list[tuple[float, str, str]]) -> None:
        """Keep what the submission now stands on."""
        self.solution[target] = {"metric": metric, "models": [list(item) for item in recipe]}
        if self.code is not None:
            self._write(self.code / "solution.py", _script(self.record["task"], self.solution))

    def _save(self) -> None:
        if self.logs is not None:
            self._write(self.logs / "journal.json", json.dumps(self.record, indent=1, default=str) + "\n")

    def _write(self, path: Path, text: str) -> None:
        part = path.with_name(f".{path.name}.part")
        with self.guard.lock:
            try:
                part.write_text(text, encoding="utf-8")
                os.replace(part, path)  # noqa: PTH105
            except OSError as error:
                # A full disk must not cost the submission; the line still reaches the run's log.
                print(f"{path.name} cannot be written: {error}", flush=True)


def _script(task: dict[str, Any], solution: dict[str, Any]) -> str:
    return (
        '"""How the submission was made.\n\n'
        "Each target is predicted by the weighted mean of the models below, fitted on the view of the features that\n"
        "stands before the estimator (tree, compact, linear: see mleb_baseline.features). Running this file in the\n"
        "environment of a run makes the submission again.\n"
        '"""\n\n'
        f"TASK = {_literal(task)}\n\n"
        "# target: metric, and models as (weight, name, view: estimator)\n"
        f"MODELS = {_literal(solution)}\n\n"
        'if __name__ == "__main__":\n'
        "    import runpy\n\n"
        '    runpy.run_module("mleb_baseline", run_name="__main__")\n'
    )


def _literal(value: Any) -> str:
    import pprint

    return pprint.pformat(value, width=110, sort_dicts=False)
