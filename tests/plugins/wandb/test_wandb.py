"""Weights & Biases, offline: the real library writes, and its own reader reads back."""

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

# Reads the files of an offline directory: id -> what was recorded. Apart, for the library starts threads. A .wandb file
# is a header of 7 bytes and LevelDB's log format: blocks of 32 KiB of records (crc 4, length 2, kind 1: 1 whole, 2
# first, 3 middle, 4 last), each whole one a `Record` of the library's own protocol.
READER = """
import json, pathlib, sys
from wandb.proto import wandb_internal_pb2 as pb

def records(data):
    at, whole = 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield pb.Record.FromString(whole)
            whole = b""

def items(found):
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in found}

told = {}
for path in pathlib.Path(sys.argv[1]).rglob("*.wandb"):
    run = {"config": {}, "summary": {}, "history": [], "artifacts": []}
    for record in records(path.read_bytes()):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run |= {"name": record.run.display_name, "group": record.run.run_group, "job": record.run.job_type,
                    "project": record.run.project, "tags": list(record.run.tags), "host": record.run.host}
            run["config"] |= items(record.run.config.update)
        elif kind == "config":
            run["config"] |= items(record.config.update)
        elif kind == "summary":
            run["summary"] |= items(record.summary.update)
        elif kind == "history":
            run["history"].append(items(record.history.item))
        elif kind == "artifact":
            run["artifacts"].append([entry.path for entry in record.artifact.manifest.contents])
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            run["artifacts"].append([e.path for e in record.request.log_artifact.artifact.manifest.contents])
        elif kind == "exit":
            run["exit"] = record.exit.exit_code
    told[path.stem.removeprefix("run-")] = run
print(json.dumps(told))
"""


class Home:
    """A user's environment without any key but the one that must not be told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLEB_", "WANDB_", "XDG_"))}
        self.env = {**kept, "HOME": str(root), "COLUMNS": "200", "SOME_API_KEY": SECRET}

    def run(self, *command: object, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)),
            cwd=self.root, env={**self.env, **env}, capture_output=True, text=True, timeout=240,
        )  # fmt: skip

    def eval(self, *options: object, **env: str) -> subprocess.CompletedProcess[str]:
        places = ["--data-dir", self.root / "data", "--output", self.root / "runs"]
        return self.run(MLEB, "eval", "--plugin", "dummy", "-c", DIABETES, *places, *options, **env)

    def read(self, folder: Path) -> dict[str, dict]:
        result = self.run(sys.executable, "-c", READER, folder)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return Home(tmp_path_factory.mktemp("wandb"))


@pytest.fixture(scope="module")
def observed(home) -> GroupLayout:
    """A group of two runs that was observed while it went on."""
    settings = ["mode=offline", "project=trial", 'tags=["a","b"]', "artifacts=true"]
    options = [word for setting in settings for word in ("--observe-set", f"wandb.{setting}")]
    result = home.eval("--seeds", 2, "--observe", "wandb", *options)
    assert result.returncode == 0, result.stderr
    assert "observer" not in result.stderr
    (directory,) = (home.root / "runs").iterdir()
    return GroupLayout(directory)


@pytest.fixture(scope="module")
def told(home, observed) -> dict[str, dict]:
    return home.read(observed.observer("wandb"))


def test_a_group_is_a_group_and_each_run_a_run(observed, told):
    assert len(told) == 3
    assert {run["group"] for run in told.values()} == {observed.root.name}
    assert {run["project"] for run in told.values()} == {"trial"}
    assert {tuple(run["tags"]) for run in told.values()} == {("a", "b")}
    jobs = sorted((run["job"], run["name"]) for run in told.values())
    assert jobs == [("group", f"group {observed.root.name}"), *(("run", f"{DIABETES} dummy {s}") for s in (0, 1))]


def test_a_run_has_its_configuration_result_and_resources(observed, told):
    for seed in (0, 1):
        (run,) = [run for run in told.values() if run["name"] == f"{DIABETES} dummy {seed}"]
        report = json.loads(observed.run(DIABETES, "dummy", seed).report.read_text())
        graded = report["competition_report"]
        assert {k: run["config"][k] for k in ("competition", "agent", "seed", "runner", "attempt")} == {
            "competition": DIABETES, "agent": "dummy", "seed": seed, "runner": "local", "attempt": 1,
        }  # fmt: skip
        assert run["config"]["limits.time_s"] == 24 * 3600
        summary = run["summary"]
        assert summary["score"] == graded["score"]
        assert summary["medal"] == graded["medal"]
        assert summary["medal/any"] == int(graded["any_medal"])
        assert summary["threshold/gold"] == graded["gold_threshold"]
        assert summary["runtime_s"] == report["runtime_s"]
        assert summary["status"] == "finished"
        assert run["exit"] == 0
        assert ["report.json", "submission.csv"] in [sorted(files) for files in run["artifacts"]]
        times = [point["elapsed_s"] for point in run["history"] if "elapsed_s" in point]
        assert times == json.loads(observed.run(DIABETES, "dummy", seed).resources.read_text())["t_s"]


def test_the_group_has_its_figures(told):
    (group,) = [run for run in told.values() if run["job"] == "group"]
    assert group["summary"]["runs/graded"] == 2
    assert group["summary"]["dummy/any_medal_percentage"] == 0
    assert group["summary"]["dummy/valid_submission_percentage"] == 100


def test_tokens_money_and_gpus_are_told_and_no_secret_is(home, observed, tmp_path):
    """A finished group is told at once by an observer that was not there; its settings and texts hold keys."""
    directory = tmp_path / "group"
    shutil.copytree(observed.root, directory, ignore=shutil.ignore_patterns("observers"))
    layout = GroupLayout(directory)
    group = json.loads(layout.group.read_text())
    group["settings"] = {"api_key": "plain-but-private", "url": "https://me:myself@host/"}
    layout.group.write_text(json.dumps(group))
    place = layout.run(DIABETES, "dummy", 0)
    report = json.loads(place.report.read_text())
    place.report.write_text(json.dumps({**report, "message": f"the agent printed {SECRET}"}))
    tokens = {"input": 100, "output": 20}
    place.usage.write_text(json.dumps({"format_version": 1, "requests": 4, "tokens": tokens, "cost_usd": 0.25}))
    gpu = {"id": "GPU-1", "utilization_percent": [90, 95], "memory_bytes": [5, 6], "power_w": [1, 2]}
    place.resources.write_text(json.dumps({"format_version": 1, "t_s": [1.0, 2.0], "gpus": [gpu]}))
    folder = layout.observer("wandb")
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "mleb_core.observing.worker", "wandb", str(directory)]
    env = {**home.env, "WANDB_DATA_DIR": str(tmp_path / "staged")}
    subprocess.run(command, input=b'{"end": true}\n', env=env, check=True, timeout=240, capture_output=True)
    assert not layout.observer_failures("wandb").exists()
    (run,) = [run for run in home.read(folder).values() if run["name"] == f"{DIABETES} dummy 0"]
    summary = run["summary"]
    assert (summary["tokens/total"], summary["cost_usd"], summary["models/requests"]) == (120, 0.25, 4)
    assert [point["resources/gpu0/utilization_percent"] for point in run["history"]] == [90, 95]
    kept = [path for path in [*folder.rglob("*"), *(tmp_path / "staged").rglob("*")] if path.is_file()]
    content = b"".join(path.read_bytes() for path in kept)
    assert b"zx81" not in content
    assert b"plain-but-private" not in content
    assert b"myself" not in content
    assert b"[hidden]" in content


def test_nothing_of_the_machine_is_told(observed, told):
    assert {run["host"] for run in told.values()} == {"mleb"}
    names = {path.name for path in observed.observer("wandb").rglob("*") if path.is_file()}
    assert not names & {"requirements.txt", "wandb-metadata.json", "conda-environment.yaml", "diff.patch"}


def test_who_is_not_logged_in_is_told_before_any_run(home):
    before = set((home.root / "runs").iterdir()) if (home.root / "runs").exists() else set()
    result = home.eval("--observe", "wandb")
    assert result.returncode == 2
    assert "nobody is logged in" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert set((home.root / "runs").iterdir() if (home.root / "runs").exists() else ()) == before


def test_a_server_that_nobody_answers_for_costs_a_line_and_no_run(home, tmp_path):
    """Online, with a key, and the server's port closed."""
    env = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "1"}
    result = home.eval("--observe", "wandb", "--json", "-o", tmp_path / "runs", **env)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["valid"] == 1
    (line,) = [line for line in result.stderr.splitlines() if "observer wandb" in line]
    assert "the results are not touched" in line
