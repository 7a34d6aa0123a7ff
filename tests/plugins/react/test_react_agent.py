"""The ReAct agent against a scripted model: what it runs, what it shows of it, how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from mleb_core import AgentPaths, LaunchContext, UsageError
from mleb_core.evaluate import EvalRequest, evaluate, plan
from mleb_core.layout import GroupLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.testing import AgentContract
from mleb_core.testing.model_server import Failure, ModelServer, Reply
from mleb_react.scaffold import React
from mleb_react.settings import Settings

DIABETES = "diabetes-progression"
COPY = "```bash\ncp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv\n```"
SOLVE = """I fit a ridge regression.

```bash
cat > $MLEB_CODE/ridge.py <<'END'
import os
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data = os.environ["MLEB_DATA"]
train, test = pd.read_csv(f"{data}/train.csv"), pd.read_csv(f"{data}/test.csv")
columns = [name for name in test.columns if name != "id"]
model = make_pipeline(StandardScaler(), Ridge()).fit(train[columns], train["progression"])
predicted = pd.DataFrame({"id": test["id"], "progression": model.predict(test[columns])})
predicted.to_csv(os.environ["MLEB_SUBMISSION"] + "/submission.csv", index=False)
print("handed in", len(predicted))
END
python3 $MLEB_CODE/ridge.py
```
"""


def test_a_real_solution_earns_its_medal(tmp_path, monkeypatch):
    registry = Registry()
    prepare(registry.competition(DIABETES), tmp_path / "data")
    python = SOLVE.replace("python3 $", f"{sys.executable} $")
    with ModelServer([python, Failure(429, retry_after=0), "I am satisfied.\n\nDONE"]) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        request = EvalRequest(
            ("react",), (DIABETES,), tmp_path / "data", tmp_path / "runs", model="lab/small", limits=Limits(time_s=240)
        )
        report = evaluate(request, registry)
    (run,) = report.runs
    layout = GroupLayout(Path(report.directory)).run(run.key.competition, run.key.agent, run.key.seed)
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, f"{run.message}\n{log}"
    assert run.competition_report.any_medal, run.competition_report.score
    assert "handed in 221\n\n[exit code 0]" in log
    assert log.splitlines()[-1] == "react: it is done after 2 steps; submission.csv is handed in"
    assert "Ridge()" in (layout.code / "ridge.py").read_text()
    assert (layout.code / "commands.sh").read_text().startswith("cat > $MLEB_CODE/ridge.py")
    assert run.usage.steps == 2


def test_a_refused_key_is_told_in_one_line(tmp_path, monkeypatch):
    registry = Registry()
    prepare(registry.competition(DIABETES), tmp_path / "data")
    with ModelServer([], key="sk-right-0123456789") as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", "sk-wrong-0123456789")
        request = EvalRequest(
            ("react",), (DIABETES,), tmp_path / "data", tmp_path / "runs", model="lab/small", limits=Limits(time_s=240)
        )
        (run,) = evaluate(request, registry).runs
    assert (run.status, run.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert "refused the key" in run.message and "\n" not in run.message


@pytest.fixture
def run_alone(tmp_path):
    """run_alone(script, **settings) -> exit code, output, what was asked; the agent as a plain process."""

    def run(script, *, time_limit_s: float = 240, **settings: object):
        (tmp_path / "instructions.txt").write_text("Guess the {number}.")
        env = {"PATH": os.environ["PATH"], "TIME_LIMIT_SECS": str(time_limit_s)}
        for name in ("HOME", "MLEB_DATA", "MLEB_SUBMISSION", "MLEB_CODE"):
            (tmp_path / name).mkdir()
            env[name] = str(tmp_path / name)
        (tmp_path / "MLEB_DATA" / "sample_submission.csv").write_text("id,y\n1,2\n")
        env["MLEB_INSTRUCTIONS"] = str(tmp_path / "instructions.txt")
        env["REACT_SETTINGS"] = Settings.model_validate(settings).model_dump_json()
        with ModelServer(script) as server:
            env |= {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "token"}
            command = [sys.executable, "-m", "mleb_react.agent"]
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.returncode, done.stdout.decode(), server.asked

    return run


def shown(asked) -> str:
    """What the model was shown last."""
    return asked.body["messages"][-1]["content"]


def test_the_time_that_is_left_is_that_after_the_command(run_alone):
    limit = 19 / 0.98  # at most 19 s to begin with, which are 0.01 hours; after the command 17 s, which are 0.00
    _, log, asked = run_alone(["```bash\nsleep 2\n```", "DONE"], time_limit_s=limit)
    assert "0.00 hours and 49 steps are left." in shown(asked[1]), log


def test_outputs_are_shown_shortened_and_without_the_token(run_alone):
    script = [
        "```bash\nenv | grep -c -e OPENAI -e ANTHROPIC; false\n```",
        "```sh\nseq 1 5000\n```",
        "```bash\nsleep 600 & sleep 600\n```",
        "Nothing to run here.",
        f"```bash\n{'x' * 3_000_000}\n```",
        "\ud800\n```bash\necho \ud800\n```",
        COPY,
        "Now I am\n**DONE**",
    ]
    code, output, asked = run_alone(script, command_s=1, output_chars=400)
    told = [shown(one) for one in asked[1:]]
    assert code == 0
    assert told[0].startswith("0\n\n[exit code 1]") and told[0].endswith(
        "49 steps are left. There is no submission yet."
    )
    assert told[1].startswith("1\n2\n3\n") and "\n[... cut ...]\n" in told[1] and "\n5000\n\n[exit code 0]" in told[1]
    assert told[2].startswith("\n[stopped after 1 seconds]")
    assert told[3] == "There was no ```bash block in your reply, and no DONE."
    assert told[4].startswith("the command cannot be run: ")
    assert told[5].startswith("the command cannot be run: ")
    assert told[6].endswith("steps are left.")
    assert output.splitlines()[-1] == "react: it is done after 8 steps; submission.csv is handed in"


def test_old_outputs_make_room(run_alone):
    reply = "```bash\nseq 1 500\n```"
    _, _, asked = run_alone([reply] * 4 + ["DONE"], history_chars=4000)
    messages = [message["content"] for message in asked[4].body["messages"]]
    assert messages[1] == "Guess the {number}."
    assert messages[3] == "[output left out]" and messages[9].startswith("1\n2\n")
    assert [message["role"] for message in asked[4].body["messages"]][:4] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("script", "code", "last"),
    [
        ([COPY, Failure(429, "used up", type="budget_reached")], 0, "react: the budget is reached ("),
        ([Failure(429, "used up", type="budget_reached")], 1, "react: the budget is reached ("),
        ([COPY, Failure(500, "down")], 1, "react: the model gave status 500: "),
        ([Failure(404, "no such\nmodel", type="model_not_found")], 1, "react: the model gave status 404: "),
        ([Failure(200, body=b"no JSON")], 1, "react: the model cannot be asked: JSONDecodeError: "),
        ([Failure(200, body=b"{}")], 1, "react: the model cannot be asked: KeyError: "),
        ([Failure(500, drop=True)], 1, "react: the model cannot be asked: "),
        ([Reply("half", cut_after=1)], 1, "react: the model cannot be asked: IncompleteRead"),
        (["DONE"], 1, "react: it is done after 1 step; no submission"),
        ([COPY] * 2, 0, "react: its steps are used up after 2 steps; submission.csv is handed in"),
    ],
)
def test_how_it_ended_is_told_in_one_line(run_alone, script, code, last):
    ended, output, _ = run_alone(script, steps=2)
    assert ended == code
    assert output.splitlines()[-1].startswith(last), output
    assert "Traceback" not in output


def test_when_the_time_is_up_it_says_so(run_alone):
    code, output, _ = run_alone(lambda asked: Reply(COPY, delay_s=1), time_limit_s=1.5)
    assert code == (1 if output.splitlines()[-1].endswith("no submission") else 0)
    assert output.splitlines()[-1].startswith("react: time is up after ")
    assert "Traceback" not in output


def launch(**changes):
    place = PurePosixPath("/home/x")
    given = {"variant": None, "model": None, "settings": {}, "step_limit": None} | changes
    paths = AgentPaths(place, place, place, place, place, place)
    return React().launch(LaunchContext("c", 0, time_limit_s=60, paths=paths, python="python3", **given))


def test_settings_reach_the_agent_and_steps_are_limited():
    launched = launch(model="lab/small", settings={"command_s": 5}, step_limit=7)
    assert list(launched.argv) == ["python3", "-m", "mleb_react.agent"]
    settings = json.loads(launched.env["REACT_SETTINGS"])
    assert settings == {**Settings().model_dump(), "command_s": 5, "steps": 7}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "the agent react needs a model"),
        ({"variant": "x", "model": "lab/small"}, "the agent react has no variants"),
    ],
)
def test_what_cannot_be_launched_is_refused(changes, told):
    with pytest.raises(UsageError, match=told):
        launch(**changes)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("command_s", "soon"), ("speed", 1)])
def test_wrong_settings_are_refused_before_anything_starts(tmp_path, name, value):
    request = EvalRequest(("react",), (DIABETES,), tmp_path, tmp_path / "runs", settings={name: value})
    with pytest.raises(UsageError, match=rf"setting agent\.{name} of react"):
        plan(request, Registry())


class TestContract(AgentContract):
    id = "react"
    model_name = "lab/small"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def server(cls):
        with ModelServer([COPY, "DONE"]) as server:
            cls.env = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "token"}
            yield
