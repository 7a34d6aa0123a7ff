"""How conversations of the real OpenHands end, and what is said of it; without a runner and a gateway around them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mleb_opendevin
from mleb_core import AgentPaths, LaunchContext
from mleb_core.testing.model_server import Failure, ModelServer, Reply, ToolCall
from mleb_opendevin.scaffold import OpenHands

pytestmark = pytest.mark.timeout(900)  # OpenHands' environment is made once

SUBMIT = "echo 1,2 > $MLEB_SUBMISSION/submission.csv"


def places_in(root: Path, url: str, time_limit_s: float = 600, **asked: object) -> tuple[list[str], dict[str, str]]:
    """The command of a run in a directory, and its environment."""
    names = ("home", "data", "submission", "code", "logs")
    for name in names:
        (root / name).mkdir(parents=True)
    (root / "instructions.txt").write_text("Guess the number.")
    (root / "home" / "task.md").write_text("Guess the number.\n- Your terminal starts in the right place;")
    paths = AgentPaths(*(root / name for name in names), root / "instructions.txt")  # type: ignore[arg-type]
    given = {"model": "lab/small", "variant": None, "step_limit": None, "settings": {"model_wait_s": 0}} | asked
    context = LaunchContext("c", 0, time_limit_s=time_limit_s, paths=paths, python=sys.executable, **given)
    launch = OpenHands("opendevin").launch(context)
    for name, content in launch.files.items():
        (root / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "home" / name).write_bytes(content)
    env = {"PATH": os.environ["PATH"], "HOME": str(root / "home"), "TIME_LIMIT_SECS": str(time_limit_s)}
    env |= {f"MLEB_{name.upper()}": str(root / name) for name in names[1:]}
    env |= {"MLEB_INSTRUCTIONS": str(root / "instructions.txt"), "OPENAI_BASE_URL": f"{url}/v1"}
    return list(launch.argv), env | {"OPENAI_API_KEY": "token", **launch.env}


def bash(command: str) -> Reply:
    return Reply(tools=[ToolCall("terminal", {"command": command, "security_risk": "LOW"})])


def done() -> Reply:
    return Reply(tools=[ToolCall("finish", {"message": "Done."})])


def forever(entry):
    return lambda asked: entry


# name: what the model says, what is asked for, how the last line begins, how it ends, the exit code, requests made
CASES = {
    "words": (forever("Let me think."), {}, "stopped after 4 steps, though asked to go on", "no submission", 1, 4),
    "impatient": (forever(done()), {"nudges": 1}, "stopped after 2 steps, though asked", "no submission", 1, 2),
    "silent": ([bash(SUBMIT), *["Done."] * 4], {}, "stopped after 5 steps", "submission.csv is handed in", 0, 5),
    "steps": (forever(bash("date +%N")), {"steps": 2}, "all steps are used, 2 steps", "no submission", 1, 2),
    "unknown": (
        forever(Failure(404, "no such model", type="model_not_found")), {},
        "the model cannot be asked (lab/small: status 404: no such model) after 0 steps", "no submission", 1, 1,
    ),
    "key": (
        forever(Failure(401, "no open run has this token", type="authentication_error")), {},
        "the model cannot be asked (lab/small: status 401: no open run has this token)", "no submission", 1, 1,
    ),
    "refused": (
        forever(Failure(502, "openai refused the key", type="provider_refused_key")), {},
        "the model cannot be asked (lab/small: status 502: openai refused the key)", "no submission", 1, 1,
    ),
    "budget": (
        [bash(SUBMIT), *[Failure(429, "1 of 1 requests", type="budget_reached")] * 9], {},
        "the budget is reached (1 of 1 requests) after 1 step", "submission.csv is handed in", 0, 2,
    ),
    "faults": (
        [Failure(500), Failure(429), Reply(tools=[ToolCall("terminal", '{"command": "ec')]),
         Reply(tools=[ToolCall("nope")]), Reply(""), bash(SUBMIT), done()], {},
        "finished after 5 steps", "submission.csv is handed in", 0, 7,
    ),
    "down": (
        forever(Failure(500, "the provider is down")), {"model_tries": 3},
        "the model cannot be asked (lab/small: status 500: the provider is down)", "no submission", 1, 3,
    ),
    "killed": ([bash("kill -9 $PPID")], {}, "crashed after 0 steps (its process was killed)", "no submission", 1, 1),
    "circles": (
        forever(bash("true")), {"nudges": 1, "steps": 30}, "stopped after 8 steps, though asked", "no submission", 1, 8
    ),
    "plain": ([bash(SUBMIT), done()], {"model": "openai/gpt-4o-2024-08-06"}, "finished", "handed in", 0, 2),
    "reasons": ([bash(SUBMIT), done()], {"model": "openai/o3", "api": "chat"}, "finished", "handed in", 0, 2),
    "told": ([bash(SUBMIT), done()], {"reasoning_effort": "low"}, "finished", "handed in", 0, 2),
    "responses": ([bash(SUBMIT), done()], {"api": "responses"}, "finished after 2 steps", "handed in", 0, 2),
    "prompted": (
        ["I do.\n<function=terminal>\n<parameter=command>" + SUBMIT + "</parameter>\n</function>",
         "<function=finish>\n<parameter=message>Done.</parameter>\n</function>"], {"native_tools": False},
        "finished after 2 steps", "handed in", 0, 2,
    ),
}  # fmt: skip


def test_each_end_is_told_in_one_line(openhands_python, tmp_path):
    with contextlib.ExitStack() as servers:
        asked, cases = {}, {}
        for name, (script, asked_for, *_) in CASES.items():
            server = servers.enter_context(ModelServer(script))
            settings = {"model_wait_s": 0, **asked_for}
            model = settings.pop("model", "lab/small")
            _, cases[name] = places_in(tmp_path / name, server.url, settings=settings, model=model)
            asked[name] = server.asked
        (tmp_path / "cases.json").write_text(json.dumps(cases))
        command = [openhands_python, Path(__file__).with_name("forks.py"), Path(mleb_opendevin.__file__).parents[1]]
        done = subprocess.run([*command, tmp_path / "cases.json"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    for name, (_, _, begin, end, code, requests) in CASES.items():
        line, exit_code = told[name]
        log = (tmp_path / name / "home" / "output").read_text()
        assert line.startswith(begin) and end in line.rpartition("; ")[2], f"{name}: {line}\n{log}"
        assert (exit_code, len(asked[name])) == (code, requests), f"{name}: {line}\n{log}"
    bodies = {name: entries[0].body for name, entries in asked.items()}
    assert {body["model"] for body in bodies.values()} == {"mleb-model"}
    efforts = [bodies[name].get("reasoning_effort") for name in ("plain", "reasons", "told", "words")]
    assert efforts == [None, "high", "low", None]  # a provider refuses what its model does not know
    assert asked["responses"][0].path == "/v1/responses" and "tools" not in bodies["prompted"]


@pytest.fixture
def start(openhands_python, tmp_path):
    """start(time_limit_s) -> the process of OpenHands' program; ended at the end of the test."""
    started = []

    def make(time_limit_s: float) -> subprocess.Popen:
        (_, folder), env = places_in(tmp_path / "run", "http://127.0.0.1:9", time_limit_s)
        output = (tmp_path / "output").open("wb")
        with output:
            process = subprocess.Popen([openhands_python, folder], env=env, stdout=output, stderr=output)
        started.append(process)
        return process

    yield make
    for process in started:
        process.kill()
        process.wait()


def test_when_the_time_is_up_it_says_so(start, tmp_path):
    assert start(0.2).wait() == 1
    lines = (tmp_path / "output").read_text().splitlines()
    assert lines[0] == "opendevin: at most 500 steps with lab/small"
    assert lines[-1].startswith("opendevin: time is up after 0 steps; no submission")
    task = (tmp_path / "run" / "home" / "opendevin" / "task.md").read_text()
    assert task.startswith("Guess the number.") and f"Your terminal starts in {tmp_path}/run/code;" in task


def test_when_it_is_stopped_it_says_so(start, tmp_path):
    process = start(600)
    while not (tmp_path / "output").read_text():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 1
    assert (tmp_path / "output").read_text().splitlines()[-1].startswith("opendevin: stopped after 0 steps; no subm")
