"""Agents that are not to be told which competition it is work in a place whose path says nothing."""

import pickle
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mleb_core.layout import RunLayout
from mleb_core.run import RunStatus
from mleb_core.runner import workspace
from mleb_core.runner.local import LocalRunner
from mleb_core.runner.protocol import Stop

AGENT = """
import os, pathlib, time
pathlib.Path(os.environ["MLEB_SUBMISSION"], "submission.csv").write_text("id,x\\n1,2\\n")
print(os.getcwd(), *os.environ.values(), flush=True)
"""


@pytest.fixture
def job(make_job: Any) -> Any:
    def make(code: str = AGENT) -> Any:
        return replace(make_job(code, name="group/iris@2/script/3"), obfuscated=True)

    return make


def test_the_place_says_nothing_and_goes_with_the_run(job: Any) -> None:
    given = job()
    assert LocalRunner().run(given, Stop()).status is RunStatus.FINISHED
    told = given.layout.log.read_text()
    assert "/.places/" in told and str(given.layout.root) not in told
    assert given.layout.submission.read_text() == "id,x\n1,2\n"
    assert not given.layout.work.exists() and not given.layout.group.places.exists()


def test_what_a_killed_harness_left_is_ended_and_removed(job: Any) -> None:
    given = job(AGENT + "print('pid', os.getpid(), flush=True)\ntime.sleep(300)")
    code = (
        "import pickle, sys; from mleb_core.runner.local import LocalRunner; from mleb_core.runner.protocol import Stop"
    )
    code += "; LocalRunner().run(pickle.load(sys.stdin.buffer), Stop())"
    harness = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        assert harness.stdin is not None
        with harness.stdin as stream:
            stream.write(pickle.dumps(given))
        ends = time.monotonic() + 60
        while "pid " not in (given.layout.log.read_text() if given.layout.log.exists() else ""):
            assert time.monotonic() < ends
            time.sleep(0.05)
    finally:
        harness.kill()
        harness.wait()
    pid = int(given.layout.log.read_text().rpartition("pid ")[2])
    (left,) = given.layout.group.places.iterdir()
    assert Path(f"/proc/{pid}/cwd").readlink().is_relative_to(left)
    assert LocalRunner().run(job(), Stop()).status is RunStatus.FINISHED
    stat = Path(f"/proc/{pid}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    assert not given.layout.group.places.exists()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "0123", "../../x", "0123456789abcdeg"])
def test_a_record_names_no_other_place(make_job: Any, name: str) -> None:
    layout = make_job("", name="group/iris@2/script/3").layout
    for root in (str(layout.group.places / name), f"{layout.group.places}/{name}", 5, None, "/"):
        with pytest.raises(ValueError, match="not a place of this run"):
            workspace.place_of(layout, root)
    assert workspace.place_of(layout, str(layout.root)) == layout
    good = layout.group.places / "0123456789abcdef"
    assert workspace.place_of(layout, str(good)) == RunLayout(good)
