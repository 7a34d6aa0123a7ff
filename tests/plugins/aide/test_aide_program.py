"""AIDE's program as a plain process, without a runner around it: what it leaves behind when it is ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mleb_aide.scaffold import Aide
from mleb_core import AgentPaths, LaunchContext
from mleb_core.environments import python_for
from mleb_core.testing.model_server import Failure, ModelServer

SLEEPER = """
import pathlib, time, subprocess
subprocess.Popen(["sleep", "600"])
print("RMSE: 1", flush=True)
pathlib.Path("working/started").touch()
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path):
    """start(url, time_limit_s) -> the process of AIDE's program, and its home; ended at the end of the test."""
    started = []

    def make(url: str, time_limit_s: float, **settings: object) -> tuple[subprocess.Popen, Path]:
        places = {name: tmp_path / name for name in ("home", "data", "submission", "code", "logs")}
        for path in places.values():
            path.mkdir()
        (places["data"] / "description.md").write_text("Guess the number.")
        (tmp_path / "instructions.txt").write_text(f"Read {places['data']}, write {places['submission']}.")
        paths = AgentPaths(*places.values(), tmp_path / "instructions.txt")  # type: ignore[arg-type]
        python = python_for(Aide(), {})
        context = LaunchContext("c", 0, None, "lab/small", settings, time_limit_s, None, paths, python)
        launch = Aide().launch(context)
        for name, content in launch.files.items():
            (places["home"] / name).parent.mkdir(parents=True, exist_ok=True)
            (places["home"] / name).write_bytes(content)
        env = {"PATH": os.environ["PATH"], "MLEB_INSTRUCTIONS": str(tmp_path / "instructions.txt")}
        env |= {"HOME": str(places["home"]), "TIME_LIMIT_SECS": str(time_limit_s), "MLEB_SEED": "0"}
        env |= {f"MLEB_{name.upper()}": str(places[name]) for name in ("data", "submission", "code", "logs")}
        env |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "token", "TEST_ROOT": str(tmp_path), **launch.env}
        output = (tmp_path / "output").open("wb")
        with output:
            process = subprocess.Popen(list(launch.argv), env=env, stdout=output, stderr=output, cwd=places["home"])
        started.append(process)
        return process, tmp_path

    yield make
    for process in started:
        process.kill()
        process.wait()


def processes_of(root: Path) -> list[int]:
    """Processes whose environment or directory is of the test."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"TEST_ROOT={root}".encode() in (folder / "environ").read_bytes() and (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_it(start, scripts, number):
    with ModelServer(scripts.model_of([SLEEPER] * 9)) as server:
        process, root = start(server.url, 600)
        marker = root / "home" / "aide" / "workspaces" / "0-aide" / "working" / "started"
        while not marker.exists():
            assert process.poll() is None, (root / "output").read_text()
            time.sleep(0.1)
        assert len(processes_of(root)) == 4  # run.py, aideml, its program, and what that started
        process.send_signal(number)
        process.wait()
        while len(processes_of(root)) > (0 if number == signal.SIGTERM else 1):
            time.sleep(0.1)
    if number == signal.SIGTERM:
        assert (root / "output").read_text().splitlines()[-1].startswith("aide: stopped after 0 steps; no submission")
        assert process.returncode == 1
    else:  # a program's own children are the runner's to end, which this test stands in for
        for left in processes_of(root):
            os.kill(left, signal.SIGKILL)


def test_when_the_time_is_up_it_says_so(start, scripts):
    with ModelServer(scripts.model_of([])) as server:
        process, root = start(server.url, 0.2)
        assert process.wait() == 1
    assert (root / "output").read_text().splitlines()[-1].startswith("aide: time is up after 0 steps; no submission")
    task = (root / "home" / "aide" / "task.md").read_text()
    assert task.startswith("Read ./input, write ./working.") and task.endswith("Guess the number.\n")
    assert processes_of(root) == []


def test_a_model_that_fails_for_ever_is_not_asked_for_ever(start):
    with ModelServer(lambda asked: Failure(500, "the provider is down")) as server:
        process, root = start(server.url, 600, model_tries=2)
        assert process.wait() == 1
    assert len(server.asked) == 2
    lines = (root / "output").read_text().splitlines()
    assert "aide: lab/small: status 500: the provider is down; again in 1.5 s" in lines
    assert lines[-1].startswith(
        "aide: the model cannot be asked (lab/small: status 500 2 times: the provider is down); "
    )


def test_data_that_cannot_be_shown_does_not_end_aide(start, scripts):
    with ModelServer(scripts.model_of(["print(open('input/odd.csv', 'rb').read()); print('RMSE: 1')"])) as server:
        process, root = start(server.url, 600, steps=1)
        (root / "data" / "odd.csv").write_bytes(b"a,b\n1,\xff\xfe\n")  # long before aideml is imported
        assert process.wait() == 1
    assert "aide: no preview of the data: " in (root / "output").read_text()
    assert "odd.csv" in server.asked[0].body["messages"][0]["content"]
    assert "aide: step 1: draft, metric 1, no submission.csv" in (root / "output").read_text().splitlines()
