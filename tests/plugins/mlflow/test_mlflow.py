"""MLflow with a local directory: the real library writes, and its own client reads back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.layout import GroupLayout

MLEB = Path(sys.executable).with_name("mleb")
DIABETES = "diabetes-progression"
SECRET = "zx81-very-secret-value"

# Reads an experiment: what each run holds. Apart, for the library changes this process's environment.
READER = """
import json, sys
from mlflow.tracking import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2])
told = []
for run in client.search_runs([experiment.experiment_id]):
    id = run.info.run_id
    told.append({
        "id": id, "name": run.info.run_name, "status": run.info.status, "params": dict(run.data.params),
        "metrics": dict(run.data.metrics), "tags": dict(run.data.tags),
        "start": run.info.start_time, "end": run.info.end_time,
        "files": sorted(file.path for file in client.list_artifacts(id)),
        "series": {name: [[m.step, m.value] for m in client.get_metric_history(id, name)]
                   for name in run.data.metrics if name.startswith("resources/")},
    })
print(json.dumps(told))
"""


class Home:
    """A user's environment without any key but the one that must not be told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLEB_", "MLFLOW_", "XDG_"))}
        self.env = {**kept, "HOME": str(root), "COLUMNS": "200", "SOME_API_KEY": SECRET}

    def run(self, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)),
            cwd=self.root, env={**self.env, **env}, capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    def eval(self, *options: object, **env: str) -> subprocess.CompletedProcess[str]:
        places = ["--data-dir", self.root / "data", "--output", self.root / "runs"]
        return self.run(MLEB, "eval", "--plugin", "dummy", "-c", DIABETES, *places, *options, **env)

    def read(self, store: Path, experiment: str = "mleb") -> list[dict]:
        result = self.run(sys.executable, "-c", READER, store.as_uri(), experiment, MLFLOW_ALLOW_FILE_STORE="true")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return Home(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def observed(home) -> GroupLayout:
    """A group of two runs that was observed while it went on, switched on in a configuration file."""
    (home.root / "mleb.toml").write_text(
        '[eval]\nobserve = ["mlflow"]\n[eval.observe-set.mlflow]\nexperiment = "trial"\nartifacts = true\n'
    )
    result = home.eval("--seeds", 2, "--config", "mleb.toml")
    assert result.returncode == 0, result.stderr
    assert "observer" not in result.stderr
    (directory,) = (home.root / "runs").iterdir()
    return GroupLayout(directory)


@pytest.fixture(scope="module")
def told(home, observed) -> list[dict]:
    return home.read(home.root / "mlruns", "trial")


def test_a_group_is_a_parent_and_each_run_a_child(observed, told):
    (parent,) = [run for run in told if "mlflow.parentRunId" not in run["tags"]]
    children = [run for run in told if run is not parent]
    assert parent["name"] == observed.root.name
    assert {run["tags"]["mlflow.parentRunId"] for run in children} == {parent["id"]}
    assert sorted(run["name"] for run in children) == [f"{DIABETES} dummy seed {seed}" for seed in (0, 1)]
    assert {run["status"] for run in told} == {"FINISHED"}
    assert parent["metrics"]["runs/graded"] == 2
    assert parent["metrics"]["dummy/valid_submission_percentage"] == 100
    assert parent["files"] == ["mleb_report.json"]


def test_a_run_has_its_configuration_result_and_resources(observed, told):
    for seed in (0, 1):
        (run,) = [run for run in told if run["name"] == f"{DIABETES} dummy seed {seed}"]
        place = observed.run(DIABETES, "dummy", seed)
        report = json.loads(place.report.read_text())
        graded = report["competition_report"]
        expected = {"competition": DIABETES, "agent": "dummy", "seed": str(seed), "limits.time_s": "86400.0"}
        assert {name: run["params"].get(name) for name in expected} == expected
        assert run["metrics"]["score"] == graded["score"]
        assert run["metrics"]["medal/gold"] == int(graded["gold_medal"])
        assert run["metrics"]["threshold/gold"] == graded["gold_threshold"]
        assert run["metrics"]["attempt"] == 1
        assert (run["tags"]["status"], run["tags"]["medal"]) == ("finished", graded["medal"])
        assert run["files"] == ["mleb_report.json", "submission.csv"]
        assert run["start"] <= run["end"]
        memory = json.loads(place.resources.read_text())["memory_bytes"]
        assert [value for _, value in run["series"].get("resources/memory_bytes", [])] == memory


def test_tokens_money_and_gpus_are_told_and_no_secret_is(home, observed, tmp_path):
    """A finished group is told at once by an observer that was not there; its settings and texts hold keys."""
    directory, store = tmp_path / "group", tmp_path / "store"
    shutil.copytree(observed.root, directory, ignore=shutil.ignore_patterns("observers"))
    layout = GroupLayout(directory)
    group = json.loads(layout.group.read_text())
    group["settings"] = {"api_key": "plain-but-private", "url": "https://me:myself@host/"}
    group["observers"] = {"mlflow": {"tracking_uri": str(store), "artifacts": True}}
    layout.group.write_text(json.dumps(group))
    place = layout.run(DIABETES, "dummy", 0)
    report = json.loads(place.report.read_text())
    place.report.write_text(json.dumps({**report, "message": f"the agent printed {SECRET}"}))
    tokens = {"input": 100, "output": 20}
    place.usage.write_text(json.dumps({"format_version": 1, "requests": 4, "tokens": tokens, "cost_usd": 0.25}))
    gpu = {"id": "GPU-1", "utilization_percent": [90, 95], "memory_bytes": [5, 6], "power_w": [1, 2]}
    place.resources.write_text(json.dumps({"format_version": 1, "t_s": [1.0, 2.0], "gpus": [gpu]}))
    layout.observer("mlflow").mkdir(parents=True)
    command = [sys.executable, "-m", "mleb_core.observing.worker", "mlflow", str(directory)]
    for _ in range(2):  # the second finds the runs again and makes none
        subprocess.run(command, input=b'{"end": true}\n', env=home.env, check=True, timeout=240, capture_output=True)
        assert not layout.observer_failures("mlflow").exists()
    told = home.read(store)
    assert len(told) == 3
    (run,) = [run for run in told if run["name"] == f"{DIABETES} dummy seed 0"]
    assert (run["metrics"]["tokens/total"], run["metrics"]["cost_usd"]) == (120, 0.25)
    assert run["series"]["resources/gpu0/utilization_percent"] == [[1, 90], [2, 95]]
    assert run["tags"]["message"] == "the agent printed [hidden]"
    content = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    for word in (b"zx81", b"plain-but-private", b"myself"):
        assert word not in content


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://me:myself@127.0.0.1:9/", "MLFLOW_TRACKING_PASSWORD"),
        ("mysql://127.0.0.1/db", "pip install mlflow"),
        ("http://[::1", "tracking URI is none"),
    ],
)
def test_what_cannot_work_is_told_before_any_run(home, tmp_path, uri, words):
    from importlib.util import find_spec

    if uri.startswith("mysql") and find_spec("sqlalchemy") is not None:
        pytest.skip("the whole of MLflow is installed")
    result = home.eval("--observe", "mlflow", "--observe-set", f"mlflow.tracking_uri={uri}", "-o", tmp_path / "runs")
    assert result.returncode == 2
    assert words in result.stderr
    assert "myself" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_server_that_nobody_answers_for_costs_a_line_and_no_run(home, tmp_path):
    env = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    result = home.eval("--observe", "mlflow", "--json", "-o", tmp_path / "runs", **env)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["valid"] == 1
    (line,) = [line for line in result.stderr.splitlines() if "observer mlflow" in line]
    assert "the results are not touched" in line
