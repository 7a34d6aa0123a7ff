"""Data that vanishes or changes while a group is at work: one line that says so, and --resume once it is back."""

import json
import subprocess
from pathlib import Path

import pytest

PARITY = "thirdparty-parity"


@pytest.fixture
def data_dir(thirdparty, tmp_path):
    result = thirdparty.mleb("prepare", "-c", PARITY, "--data-dir", str(tmp_path / "data"))
    assert result.returncode == 0, result.stderr
    return tmp_path / "data"


@pytest.fixture
def evaluate(thirdparty, data_dir, tmp_path):
    """Runs a group of four, whose first agent takes data away, and gives the process's result and the group."""

    def run(taken: str, how: str, *arguments: str) -> tuple["subprocess.CompletedProcess[str]", Path]:
        path, away = data_dir / PARITY / taken, tmp_path / "away"
        script = tmp_path / "harness.py"
        script.write_text(HARNESS.format(path=str(path), away=str(away), how=how))
        asked = ["-p", "taker", "-c", PARITY, "-n", "4", "-o", str(tmp_path / "runs"), "-d", str(data_dir), "--json"]
        result = thirdparty.run(str(script), "eval", *asked, *arguments)
        (group,) = (tmp_path / "runs").iterdir()
        return result, group

    return run


# An agent that is not isolated: seed 1 takes the data away, and every one hands in.
HARNESS = """
import sys
import mleb_core
from mleb_core.plugins import load_plugins
import mleb_core.registry

CODE = '''
import os, shutil
e = os.environ
if e["MLEB_SEED"] == "1" and not os.path.exists({away!r}):
    os.rename({path!r}, {away!r})
    {how}
shutil.copy(e["MLEB_DATA"] + "/sample_submission.csv", e["MLEB_SUBMISSION"] + "/submission.csv")
'''

class Taker:
    id = "taker"
    summary = "Takes data away."
    def variants(self):
        return ()
    def launch(self, context):
        return mleb_core.Launch([context.python, "-c", CODE])
    @mleb_core.hookimpl
    def mleb_register_agents(self):
        return [self]

def with_taker():
    manager = load_plugins()
    manager.register(Taker(), "taker")
    return manager

mleb_core.registry.load_plugins = with_taker
from mleb.app import main
sys.exit(main())
"""


@pytest.mark.parametrize("taken", ["prepared/public", "prepared/private", "prepared", ""])
def test_data_that_vanishes_costs_what_needs_it_and_comes_back(evaluate, thirdparty, data_dir, tmp_path, taken):
    result, group = evaluate(taken, "pass")
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert (report["counts"]["graded"], report["counts"]["missing"]) == (1, 3)
    for run in report["missing"]:
        assert run["cause"] == "harness_failure"
        assert "mleb prepare -c thirdparty-parity" in run["note"], run
    told = result.stdout + result.stderr + "".join(path.read_text() for path in group.glob("*/*/*/events.jsonl"))
    assert "internal" not in told and "Traceback" not in told and "Error: " not in told
    # Nothing was tried twice, and the agent that had ended keeps its end.
    runs = {int(path.parent.name): json.loads(path.read_text()) for path in group.glob("*/*/*/run.json")}
    assert [runs[seed]["attempt"] for seed in range(4)] == [1, 1, 0, 0]
    assert (runs[1]["status"], runs[1]["ungraded"]) == ("finished", True)
    again = thirdparty.mleb("eval", "--resume", str(group), "--json")
    assert again.returncode == 1 and "mleb prepare -c thirdparty-parity" in again.stderr
    assert len(again.stderr.splitlines()) == 1

    away = tmp_path / "away"
    away.rename(data_dir / PARITY / taken)
    away.touch()  # so that the agent leaves the data alone from now on
    script = tmp_path / "harness.py"
    again = thirdparty.run(str(script), "eval", "--resume", str(group), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["counts"]["valid"] == 4
    runs = {int(path.parent.name): json.loads(path.read_text()) for path in group.glob("*/*/*/run.json")}
    assert runs[1]["attempt"] == 1, "an agent that had ended was run again"


def test_data_that_changes_under_a_group_is_refused_to_the_runs_that_follow(evaluate, thirdparty, data_dir, tmp_path):
    change = """open({path!r}, "w").write(open({away!r}).read().replace('"sha256": "', '"sha256": "0', 1))"""
    path, away = data_dir / PARITY / "prepared.json", tmp_path / "away"
    result, group = evaluate("prepared.json", change.format(path=str(path), away=str(away)))
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert (report["counts"]["graded"], report["counts"]["missing"]) == (1, 3)
    for run in report["missing"]:
        assert "is no longer that which the group began with" in run["note"]
    away.replace(path)
    away.touch()
    again = thirdparty.run(str(tmp_path / "harness.py"), "eval", "--resume", str(group), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["counts"]["valid"] == 4
