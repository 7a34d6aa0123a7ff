"""The real OpenHands, in its own environment on this machine, solves a sample competition with a scripted model."""

import json
import zipfile
from pathlib import Path

import pytest

from mleb_core.run import Cause, RunStatus
from mleb_core.terms import Budget, Terms
from mleb_core.testing import AgentContract
from mleb_core.testing.model_server import Failure, ModelServer

pytestmark = pytest.mark.timeout(900)  # OpenHands' environment is made once

LAST_WORDS = -1


def wheel_in(folder: Path) -> Path:
    """A library of one module, as pip takes it."""
    path, info = folder / "tinylib-1.0-py3-none-any.whl", "tinylib-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tinylib.py", "NUMBER = 7\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinylib\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def test_it_solves_a_sample_in_spite_of_faults_until_the_budget_is_reached(
    run_openhands, scripts, ridge_grade, openhands_python, tmp_path
):
    show = "import sys, tinylib; print(sys.prefix, tinylib.__file__)"
    look = f"env; pip install --no-index {wheel_in(tmp_path)}; python3 -c '{show}'"
    *solve, _ = scripts.solution()
    replies = [
        "Let us think about it.",  # words alone: asked to go on
        Failure(429, retry_after=0),
        Failure(500),
        scripts.finish(),  # without a submission: asked to go on
        scripts.run_command(look),
        *solve,
        *[scripts.run_command("date +%N")] * 9,
    ]
    terms = Terms(budget=Budget(requests=6), budget_grace_s=100)
    run, layout, asked = run_openhands(scripts.model_of(replies), terms=terms)
    log = layout.log.read_text()
    assert (run.status, run.cause) == (RunStatus.FINISHED, Cause.BUDGET_REACHED), log
    report = run.competition_report
    assert (report.score, report.medal) == (pytest.approx(ridge_grade.score, abs=1e-3), "gold")
    last = log.splitlines()[LAST_WORDS]
    assert last.startswith("opendevin: the budget is reached (") and last.endswith("submission.csv is handed in"), last
    assert "after 6 steps" in last
    assert log.count("opendevin: asks it to go on: There is no ") == 2

    seen = log.split("--- output")[2]
    assert "OPENAI_" not in seen and "OPENDEVIN_" not in seen and "LITELLM_" not in seen
    own = f"{layout.work_home}/opendevin/python"  # what it installs is the run's, not the environment's of all runs
    assert f"\n{own} {own}/lib/" in seen
    assert not list(Path(openhands_python).parents[1].glob("lib/*/site-packages/tinylib*"))
    assert "Ridge()" in (layout.code / "solve.py").read_text()
    events = [json.loads(line) for line in (layout.logs / "trajectory.jsonl").read_text().splitlines()]
    kinds = [event["kind"] for event in events]
    assert kinds[:2] == ["SystemPromptEvent", "MessageEvent"] and kinds.count("ActionEvent") == 5
    metrics = json.loads((layout.logs / "metrics.json").read_text())["usage_to_metrics"]["default"]
    assert metrics["accumulated_token_usage"]["prompt_tokens"] > 0
    assert run.usage.steps == 6
    usage = json.loads(layout.usage.read_text())
    assert (usage["requests"], len(asked)) == (6, 8)


class TestContract(AgentContract):
    """A variant, whose models need no --model; the server stands in for the gateway."""

    id = "openhands/gpt-4o"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def model(cls, openhands_python, scripts):
        copy = scripts.run_command("cp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv")
        with ModelServer(scripts.model_of([copy, scripts.finish()])) as server:
            cls.env = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "token"}
            yield
        assert {asked.body["model"] for asked in server.asked} == {"mleb-model"}
