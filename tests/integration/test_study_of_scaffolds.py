"""The paper's studies at small scale: with its scaffolds themselves, each fitting a real model; and in containers."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.agent import environment_of
from mleb_core.environments import cache_dir, check_environment, python_for
from mleb_core.errors import MlebError
from mleb_core.registry import Registry
from mleb_core.testing.images import make_test_image
from mleb_core.testing.model_server import Asked, ModelServer, Reply, ToolCall

STUDIES = Path(__file__).parents[2] / "docs/studies"
PROGRAM = """import pandas as pd
from sklearn.linear_model import Ridge
train, test = pd.read_csv("{data}/train.csv"), pd.read_csv("{data}/test.csv")
columns = [name for name in test.columns if name != "id"]
model = Ridge(0.001).fit(train[columns], train["progression"])
predicted = model.predict(test[columns])
pd.DataFrame({{"id": test["id"], "progression": predicted}}).to_csv("{submission}/submission.csv", index=False)
print("RMSE: 55")
"""
STEP = "Reflection: -\nResearch Plan and Status: -\nFact Check: -\nThought: -\nAction: {}\nAction Input: {}\n"


def answer(asked: Asked) -> Reply:
    """What each of the three wants to hear, so that the same model is fitted by all."""
    body, text = asked.body, json.dumps(asked.body)
    tools = {tool["function"]["name"] for tool in body.get("tools", ())}
    said = sum(message["role"] == "assistant" for message in body["messages"])
    if "submit_review" in tools:  # AIDE's reviewer
        found = {"is_bug": False, "summary": "It ran.", "metric": 55.0, "lower_is_better": True}
        return Reply(tools=[ToolCall("submit_review", found)])
    if "terminal" in tools:  # OpenHands
        if said:
            return Reply(tools=[ToolCall("finish", {"message": "It is there."})])
        places = {name: re.search(rf"(/[^\s\"\\]+/{name})/{file}", text) for name, file in
                  (("data", "description.md"), ("submission", "submission.csv"))}  # fmt: skip
        program = PROGRAM.format(**{name: place[1] for name, place in places.items() if place})
        command = f"cat > solve.py <<'END'\n{program}END\npython3 solve.py"
        return Reply("I fit a model.", tools=[ToolCall("terminal", {"command": command, "security_risk": "LOW"})])
    if "Action Input" in text:  # MLAgentBench's loop
        program = PROGRAM.format(data="data", submission="submission")
        if "Execute Script" in text and "solve.py" in text:
            given = {"script": "solve.py"}
            return Reply(STEP.format("Execute Script", json.dumps(given)))
        return Reply(STEP.format("Write File", json.dumps({"file": "solve.py", "content": program})))
    return Reply(f"Ridge.\n\n```python\n{PROGRAM.format(data='./input', submission='./working')}```")  # AIDE


def sweep(server: ModelServer, root: Path, study: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `mleb sweep` on a study of the paper, without GPUs."""
    keys = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "sk-scripted-0123456789"}
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLEB_")} | keys
    # A home of its own, but the Pythons of this machine.
    pyenv = os.environ.get("PYENV_ROOT") or str(Path("~/.pyenv").expanduser())
    places = ("-d", root / "data", "-o", root / "runs")
    return subprocess.run(
        [
            Path(sys.executable).with_name("mleb"),
            "sweep",
            STUDIES / study,
            *arguments,
            "--gpus",
            "0",
            *places,
            "--json",
        ],
        capture_output=True,
        text=True,
        cwd=root,
        env={**env, "MLEB_CACHE_DIR": str(cache_dir()), "HOME": str(root), "PYENV_ROOT": pyenv},
        timeout=900,
        check=False,
    )


@pytest.fixture
def three() -> None:
    """The scaffolds' environments are there; made once on a machine, as the scaffolds' own tests do."""
    registry = Registry()
    for agent in ("aide", "opendevin", "mlagentbench"):
        scaffold, _ = registry.scaffold(agent)
        if (environment := environment_of(scaffold)) is not None:
            try:
                check_environment(environment)
            except MlebError as error:
                pytest.skip(str(error))
        python_for(scaffold, {})


@pytest.mark.usefixtures("three")
def test_the_papers_scaffolds_side_by_side(tmp_path):
    with ModelServer(answer) as server:
        result = sweep(
            server, tmp_path, "scaffolds.toml", "-c", "diabetes-progression", "--seeds", "1", "--runner", "local",
            "-t", "200", "--set", "agent.steps=2", "--max-cost", "1",
        )  # fmt: skip
    assert result.returncode == 0, result.stderr
    arms = {arm["arm"]: arm for arm in json.loads(result.stdout)["arms"]}
    assert list(arms) == ["aide", "opendevin", "mlagentbench"]
    for name, arm in arms.items():
        assert arm["any_medal_percentage"]["mean"] == 100, (name, result.stderr)
        assert arm["cost"]["steps"] == 2, name
        assert arm["cost"]["tokens"] > 0 and 0 < arm["cost"]["cost_usd"] < 1
        assert arm["cost"]["runs_with_usage"] == arm["cost"]["runs_with_time"] == 1
    assert arms["opendevin"]["versus"]["difference"] == 0


@pytest.mark.docker
@pytest.mark.usefixtures("docker_engine")
def test_obfuscation_in_containers(tmp_path):
    copy = "```bash\ncp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv; echo id $COMPETITION_ID\n```"
    with ModelServer(lambda asked: Reply(copy if len(asked.body["messages"]) == 2 else "DONE")) as server:
        few = ("-c", "titanic-survival", "--seeds", "2", "-t", "120", "--plugin", "react", "--image", make_test_image())
        result = sweep(server, tmp_path, "obfuscation.toml", *few, "--workers", "2")
        told = [request.body["messages"][1]["content"] for request in server.asked]
    assert result.returncode == 0, result.stderr
    plain, obfuscated = json.loads(result.stdout)["arms"]
    assert (plain["graded"], obfuscated["graded"], plain["valid_submission_percentage"]) == (2, 2, 100)
    assert obfuscated["versus"]["baseline"] == "plain" and obfuscated["versus"]["interval"] is None
    assert len(told) == 8 and not any("itanic" in text for text in told)
    logs = {arm: (tmp_path / "runs/obfuscation" / arm / "titanic-survival/react/0/agent.log").read_text()
            for arm in ("plain", "obfuscated")}  # fmt: skip
    assert "id titanic-survival\n" in logs["plain"]
    assert "id competition-" in logs["obfuscated"] and "itanic" not in logs["obfuscated"]
