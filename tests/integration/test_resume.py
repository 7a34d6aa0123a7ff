"""A harness that is killed at any instant loses nothing: `--resume` goes on from the files."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

SEEDS = 6


def start(environment, *arguments: str, **env: str) -> subprocess.Popen[str]:
    command = [str(environment.python), "-m", "mleb", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **env}, start_new_session=True
    )


@pytest.fixture(scope="module")
def data_dir(thirdparty, tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    result = thirdparty.mleb("prepare", "-c", "thirdparty-parity", "--data-dir", str(data_dir))
    assert result.returncode == 0, result.stderr
    return data_dir


def eval_arguments(data_dir: Path, output: Path) -> list[str]:
    asked = ["--plugin", "parity", "-c", "thirdparty-parity", "--seeds", str(SEEDS), "--workers", "2"]
    return ["eval", *asked, "--output", str(output), "--data-dir", str(data_dir), "--json"]


def settled(group: Path) -> dict[Path, bytes]:
    """Reports of the runs that have their final status, by path."""
    reports = {}
    for run in group.glob("*/*/*/run.json"):
        if json.loads(run.read_bytes())["status"] == "finished":
            reports[run.parent / "report.json"] = (run.parent / "report.json").read_bytes()
    return reports


@pytest.mark.parametrize("moment", range(12))
def test_sigkill_at_any_moment_then_resume(thirdparty, data_dir, tmp_path, moment):
    output = tmp_path / "runs"
    draw = random.Random(moment)
    process = start(thirdparty, *eval_arguments(data_dir, output))
    # The first half is killed while the group is young, the rest anywhere up to its usual end.
    deadline = time.monotonic() + 30
    while not list(output.glob("*/group.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 0.3) if moment < 6 else draw.uniform(0.3, 2.5))
    process.kill()
    process.communicate()
    (group,) = (path.parent for path in output.glob("*/group.json"))

    kept = settled(group)
    for attempt in range(3):
        process = start(thirdparty, "eval", "--resume", str(group), "--json")
        if attempt < 2:  # and the resumed one dies as well, twice
            time.sleep(draw.uniform(0.2, 1.2))
            process.kill()
        stdout, stderr = process.communicate()
        for path, content in kept.items():
            assert path.read_bytes() == content, f"{path} was graded again"
        kept = settled(group)
    assert process.returncode == 0, stderr
    report = json.loads(stdout)
    assert report["counts"]["asked"] == report["counts"]["valid"] == SEEDS
    assert {run["key"]["seed"] for run in report["runs"]} == set(range(SEEDS))
    assert all(run["competition_report"]["score"] == 1.0 for run in report["runs"])
    for run in group.glob("*/*/*/run.json"):
        log = (run.parent / "agent.log").read_text()
        assert log.count("answered thirdparty-parity") >= 1
        assert not list(run.parent.glob(".*.tmp")), "a temporary file was left behind"
    assert not leftovers(group)


def leftovers(group: Path) -> list[str]:
    """Processes that still have the group's directory in their environment or command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(group).encode() in text and int(process.name) != os.getpid():
            found.append(process.name)
    return found


def test_ctrl_c_once_saves_and_resume_goes_on(thirdparty, data_dir, tmp_path):
    output = tmp_path / "runs"
    process = start(thirdparty, *eval_arguments(data_dir, output))
    deadline = time.monotonic() + 30
    while not list(output.glob("*/*/*/*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert "--resume" in stderr
    (group,) = (path.parent for path in output.glob("*/group.json"))
    assert (group / "report.json").is_file()
    result = thirdparty.mleb("eval", "--resume", str(group), "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["counts"]["valid"] == SEEDS


def test_two_harnesses_do_not_work_on_one_group(thirdparty, data_dir, tmp_path):
    output = tmp_path / "runs"
    first = start(thirdparty, *eval_arguments(data_dir, output))
    deadline = time.monotonic() + 30
    while not list(output.glob("*/*/*/*/run.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    (group,) = (path.parent for path in output.glob("*/group.json"))
    os.kill(first.pid, signal.SIGSTOP)
    try:
        second = thirdparty.mleb("eval", "--resume", str(group))
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert second.returncode == 1
    assert "another mleb is at work" in second.stderr
    first.communicate()
    assert first.returncode == 0


def test_data_that_has_changed_is_refused(thirdparty, tmp_path):
    data, output = tmp_path / "data", tmp_path / "runs"
    assert thirdparty.mleb(*eval_arguments(data, output)).returncode == 0
    (group,) = (path.parent for path in output.glob("*/group.json"))
    manifest = data / "thirdparty-parity" / "prepared.json"
    manifest.write_text(manifest.read_text().replace('"sha256": "', '"sha256": "0', 1))
    result = thirdparty.mleb("eval", "--resume", str(group))
    assert result.returncode == 1
    assert "is not the data that" in result.stderr


def test_directories_that_are_no_group_are_told(thirdparty, tmp_path):
    for directory in (tmp_path / "nowhere", tmp_path):
        result = thirdparty.mleb("eval", "--resume", str(directory))
        assert result.returncode in (1, 2)
        assert str(directory) in result.stderr
        assert "Traceback" not in result.stderr


def test_a_run_whose_grader_failed_is_graded_once_the_grader_is_mended(make_environment, data_dir, tmp_path):
    environment = make_environment("mleb-plugin-thirdparty")
    metric = environment.own / "mleb_thirdparty" / "metric.py"
    whole = metric.read_text()
    metric.write_text("def agreement(truth, predicted):\n    raise ZeroDivisionError('the metric is broken')\n")
    result = environment.mleb(*eval_arguments(data_dir, tmp_path / "runs"))
    assert result.returncode == 1
    assert json.loads(result.stdout)["counts"]["missing"] == SEEDS
    (group,) = (path.parent for path in (tmp_path / "runs").glob("*/group.json"))
    logs = {path: path.stat().st_mtime_ns for path in group.glob("*/*/*/agent.log")}
    metric.write_text(whole)
    result = environment.mleb("eval", "--resume", str(group), "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["counts"]["valid"] == SEEDS
    assert [run["competition_report"]["score"] for run in report["runs"]] == [1.0] * SEEDS
    assert {path: path.stat().st_mtime_ns for path in logs} == logs, "an agent was run again"
