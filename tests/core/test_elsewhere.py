"""Runs carried by a process that has nothing but the group's directory."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mleb_core.elsewhere import Carrier
from mleb_core.engine.protocol import Placement, Portable
from mleb_core.errors import RunnerError, SandboxError
from mleb_core.evaluate import EvalRequest, plan
from mleb_core.group_dir import create_group
from mleb_core.layout import GroupLayout
from mleb_core.ledger import Ledger, is_in_use
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.runner.protocol import Stop

DIABETES = "diabetes-progression"
COPY = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def begun(data_dir, tmp_path):
    """begun(command) -> a carrier of a new group, its only run's key and layout."""

    def begin(command=COPY, **fields):
        given = {"settings": {"command": command}, "limits": Limits(time_s=120, grace_s=1), **fields}
        group = plan(EvalRequest(("command",), (DIABETES,), data_dir, tmp_path / "runs", **given), Registry())
        directory, group = create_group(tmp_path / "runs", group)
        (key,) = group.run_keys()
        return Carrier(directory, group), key, GroupLayout(directory).run(key.competition, key.agent, key.seed)

    return begin


def of(layout, event):
    lines = [json.loads(line) for line in layout.events.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_a_carrier_goes_through_pickle_and_carries_a_run(begun):
    carrier, key, _ = begun()
    carrier.on_change = threading.Lock().acquire  # stays behind
    carried = pickle.loads(pickle.dumps(carrier))
    assert isinstance(carried, Portable)
    assert carried.on_change is None
    changes = []
    run = carried.placed(Placement(facts={"node": "n1", "host": "h1"}, on_change=changes.append))(key, Stop())
    assert run.status is RunStatus.FINISHED
    assert [change.status for change in changes][-2:] == [RunStatus.GRADING, RunStatus.FINISHED]
    assert carried.standing(key) == run
    assert (carried.last_place(key)["node"], carried.last_place(key)["host"]) == ("n1", "h1")


def test_a_machine_that_does_not_see_the_group_says_so(begun, tmp_path):
    carrier, key, _ = begun()
    carrier.directory = tmp_path / "elsewhere"
    with pytest.raises(RunnerError, match=r"far does not see .*/elsewhere; --output must be a path that all machines"):
        carrier.placed(Placement(facts={"host": "far"}))(key, Stop())


def test_a_lost_process_costs_a_try_and_the_last_one_the_run(begun):
    carrier, key, layout = begun(retries=1)
    run = carrier.placed(Placement())(key, Stop())
    assert run.status is RunStatus.FINISHED
    layout.report.unlink()
    layout.run.write_text(run.model_copy(update={"status": RunStatus.RUNNING, "outcome": None}).model_dump_json())
    again = carrier.placed(Placement(lost="its node died"))(key, Stop())
    assert (again.status, again.failures, again.attempt) == (RunStatus.FINISHED, 1, 2)
    layout.report.unlink()
    layout.run.write_text(again.model_copy(update={"status": RunStatus.RUNNING, "outcome": None}).model_dump_json())
    last = carrier.placed(Placement(lost="its node died again"))(key, Stop())
    assert (last.status, last.outcome.cause) == (RunStatus.FAILED, Cause.SANDBOX_FAILURE)
    assert last.outcome.message == "its node died again"
    assert layout.report.is_file()
    assert [line["retry"] for line in of(layout, "failure")] == [True, False]


def test_what_a_killed_process_left_is_swept(begun, tmp_path):
    told = tmp_path / "pid"
    carrier, key, layout = begun(f'echo $$ > "{told}.new"; mv "{told}.new" "{told}"; sleep 600')
    code = "import pickle, sys; from mleb_core.runner.protocol import Stop; c, k = pickle.load(sys.stdin.buffer); "
    code += "c(k, Stop())"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    process.stdin.write(pickle.dumps((carrier, key)))
    process.stdin.close()
    end = time.monotonic() + 120
    while not told.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    agent = psutil.Process(int(told.read_text()))
    assert is_in_use(layout)
    process.kill()
    process.wait()
    assert carrier.standing(key).status is RunStatus.RUNNING
    carrier.sweep(key, Placement())
    assert not agent.is_running() or agent.status() == psutil.STATUS_ZOMBIE
    assert not is_in_use(layout)


def test_a_run_that_another_process_carries_is_left_alone(begun, monkeypatch):
    carrier, key, layout = begun()
    monkeypatch.setattr("mleb_core.elsewhere.PATIENCE_S", 0.3)
    layout.root.mkdir(parents=True)
    with Ledger.open(layout), pytest.raises(SandboxError, match="another process is at work on this run"):
        carrier.placed(Placement())(key, Stop())
    assert not layout.run.exists()
    assert carrier.placed(Placement())(key, Stop()).status is RunStatus.FINISHED


def test_a_runner_that_cannot_work_on_a_machine_costs_tries_there(begun):
    carrier, key, _ = begun(retries=0)
    group = json.loads(GroupLayout(carrier.directory).group.read_text())
    group["limits"]["gpus"] = 99
    GroupLayout(carrier.directory).group.write_text(json.dumps(group))
    run = carrier.placed(Placement(gpus=("98",)))(key, Stop())
    assert (run.status, run.outcome.cause) == (RunStatus.FAILED, Cause.HARNESS_FAILURE)
    assert "99 GPUs are asked for" in run.outcome.message
    assert os.environ.get("CUDA_VISIBLE_DEVICES") is None or "98" not in os.environ["CUDA_VISIBLE_DEVICES"]


def test_data_that_is_not_on_a_machine_is_fetched_before_the_run(begun, data_dir, tmp_path):
    carrier, key, layout = begun(retries=0)
    here = tmp_path / "here"
    group = json.loads(GroupLayout(carrier.directory).group.read_text())
    GroupLayout(carrier.directory).group.write_text(json.dumps(group | {"data_dir": str(here)}))
    asked = []

    def fetch(label, into, digest):
        asked.append((label, into, digest))
        shutil.copytree(data_dir, into)

    assert carrier.placed(Placement(fetch=fetch))(key, Stop()).status is RunStatus.FINISHED
    assert asked == [(DIABETES, here, group["digests"][DIABETES])]
    assert layout.submission.is_file()
