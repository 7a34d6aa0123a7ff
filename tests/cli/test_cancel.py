"""`mleb cancel`, with a group that another `mleb` is at work on."""

import json
import subprocess
import time

TITANIC = "titanic-survival"


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_run_is_cancelled_and_the_others_go_on(mleb, clitest, prepared_data, tmp_path):
    arguments = ("-p", "clitest/slow", "-p", "clitest", "-c", TITANIC, "-d", prepared_data, "-o", tmp_path / "runs")
    pipe = subprocess.PIPE
    process = mleb.start("eval", *arguments, "--json", stdout=pipe, stderr=pipe)
    try:
        wait_for(lambda: list(tmp_path.glob("runs/*/*/clitest__slow/0/work/processes.json")))
        (group,) = (tmp_path / "runs").iterdir()
        result = mleb("cancel", group, f"{TITANIC}/clitest/slow")
        assert (result.returncode, result.stdout) == (0, f"{TITANIC} clitest/slow seed 0\n"), result.stderr
        assert result.stderr.splitlines()[-1] == "1 runs cancelled"
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 1  # a run has no result
    counts = json.loads(stdout)["counts"]
    assert (counts["cancelled"], counts["valid"], counts["missing"]) == (1, 1, 1)
    assert b"clitest/slow seed 0: cancelled after" in stderr
    table = mleb("report", group).stdout
    assert "1 runs were cancelled" in table and "cancelled by a person" in table
    again = mleb("cancel", group, "--json")
    assert (again.returncode, json.loads(again.stdout)) == (0, [])
    assert again.stderr.splitlines()[-1] == "nothing to cancel: these runs have ended"
    undone = mleb("cancel", group, "--undo", "--json")
    assert json.loads(undone.stdout) == [{"competition": TITANIC, "agent": "clitest/slow", "seed": 0}]
    assert len(json.loads(mleb("eval", "--resume", group, "--dry-run", "--json").stdout)["runs"]) == 1


def test_what_cannot_be_cancelled_is_told_in_one_line(mleb, clitest, prepared_data, tmp_path):
    result = mleb("cancel", tmp_path / "nowhere")
    assert result.returncode == 1
    told = f"Error: {tmp_path}/nowhere: no such directory; a run group's directory is expected"
    assert result.stderr.splitlines()[-1] == told
    assert mleb("eval", "-p", "clitest", "-c", TITANIC, "-d", prepared_data, "-o", tmp_path / "runs").returncode == 0
    (group,) = (tmp_path / "runs").iterdir()
    result = mleb("cancel", group, f"{TITANIC}/clitset")
    assert result.returncode == 2
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert f"did you mean {TITANIC}/clitest" in result.stderr
