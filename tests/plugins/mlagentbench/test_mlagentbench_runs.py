"""Whole runs on a sample competition: the programs that the model writes are executed for real."""

import json

import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mleb_core.errors import UsageError
from mleb_core.evaluate import EvalRequest, plan
from mleb_core.grading.grade import grade_submission
from mleb_core.layout import CompetitionData
from mleb_core.run import Cause, RunStatus
from mleb_core.terms import Budget, Terms
from mleb_core.testing import AgentContract
from mleb_core.testing.model_server import Failure, ModelServer


@pytest.fixture(scope="module")
def ridge_grade(registry, data_dir, tmp_path_factory):
    """The grade that the program deserves, from the same model fitted here."""
    competition = registry.competition("diabetes-progression")
    public = CompetitionData.of(data_dir, competition.label).public
    train, test = pd.read_csv(public / "train.csv"), pd.read_csv(public / "test.csv")
    columns = [name for name in test.columns if name != "id"]
    scaler = StandardScaler().fit(train[columns])
    model = Ridge().fit(scaler.transform(train[columns]), train["progression"])
    predicted = pd.DataFrame({"id": test["id"], "progression": model.predict(scaler.transform(test[columns]))})
    path = tmp_path_factory.mktemp("own") / "submission.csv"
    predicted.to_csv(path, index=False)
    return grade_submission(path, competition, data_dir, registry)


def test_a_solution_is_written_debugged_and_handed_in(run_whole, scripts, registry, ridge_grade):
    step = scripts.step
    broken = scripts.PROGRAM.replace("Ridge())", "Rigde())")
    model = scripts.model_of(
        [
            step("List Files", folder="data"),
            step("Read File", file="data/description.md"),
            step("Write File", file="ridge.py", content=broken),
            step("Execute Script", script="ridge.py"),
            step("Edit Script (AI)", script="ridge.py", instruction="It is called Ridge.", save_as="ridge.py"),
            Failure(429, retry_after=0),
            Failure(500),  # the gateway asks again
            step("Execute Script", script="ridge.py"),
            step("Write File", file="check.sh", content="sh ../validate_submission.sh submission/submission.csv"),
            step("Execute Script", script="check.sh"),
        ],
        [f"Here it is:\n```python\n{scripts.PROGRAM}```\n"],
    )
    run, layout, asked = run_whole(model)
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, f"{run.message}\n{log}"
    assert run.competition_report.score == pytest.approx(ridge_grade.score, abs=1e-4)
    board = registry.competition("diabetes-progression").spec.leaderboard
    reached = [name for name in ("gold", "silver", "bronze") if ridge_grade.score <= getattr(board, name)]
    assert reached and run.competition_report.medal == reached[0]
    assert log.startswith("mlagentbench: mleb's own implementation of MLAgentBench's research agent")
    assert "at most 2000 steps with lab/small" in log.splitlines()[0]
    assert log.splitlines()[-1] == "mlagentbench: it gave its final answer after 9 steps; submission.csv is handed in"
    steps = [json.loads(line) for line in (layout.logs / "steps.jsonl").read_text().splitlines()]
    assert [one["step"] for one in steps] == [*range(1, 10)]
    assert "train.csv" in steps[0]["observation"] and "Root mean squared error" in steps[1]["observation"]
    assert "NameError: name 'Rigde' is not defined" in steps[3]["observation"]
    assert "exit code 1" in steps[3]["observation"]
    assert "-model = make_pipeline(StandardScaler(), Rigde())" in steps[4]["observation"]
    assert "RMSE: " in steps[5]["observation"] and "exit code 0" in steps[5]["observation"]
    assert "Submission is valid." in steps[7]["observation"]
    assert (layout.code / "ridge.py").read_text() == scripts.PROGRAM
    assert (layout.logs / "research_log.md").read_text().splitlines() == [
        "[Step 1] It went well.",
        "[Step 2] It went well.",
        "[Step 3] It went well.",
        "[Step 4] It went well.",
        "[Step 5] It went well.",
    ]
    usage = json.loads(layout.usage.read_text())
    assert usage["requests"] == 9 + 1 + 5  # steps, an edit, entries of the research log
    assert (run.usage.steps, run.usage.step_unit, run.usage.steps_told) == (9, "steps", True)
    prompt = scripts.prompt_of(asked[0])
    assert "./submission/submission.csv" in prompt and "Root mean squared error" in prompt
    assert "`sh ../validate_submission.sh FILE`" in prompt and str(layout.root) not in prompt


def test_a_reached_budget_ends_it_with_what_it_has(run_whole, scripts):
    copy = scripts.step("Copy File", source="data/sample_submission.csv", target="submission/submission.csv")
    terms = Terms(budget=Budget(requests=1), budget_grace_s=100)
    run, layout, asked = run_whole(scripts.model_of([copy] * 9), terms=terms)
    last = layout.log.read_text().splitlines()[-1]
    assert (run.status, run.cause) == (RunStatus.FINISHED, Cause.BUDGET_REACHED), last
    assert last.startswith("mlagentbench: the budget is reached (")
    assert last.endswith(" after 1 step; submission.csv is handed in")
    assert run.competition_report.valid_submission
    assert len(asked) == 1


def test_a_recorded_run_is_repeated_exactly(run_whole, scripts, tmp_path):
    step = scripts.step
    replies = [
        step("Write File", file="a.py", content="import time\nprint(time.time())"),
        step("Execute Script", script="a.py"),  # what it prints is never the same
        "This lacks the form.",
        step("Copy File", source="data/sample_submission.csv", target="submission/submission.csv"),
    ]
    recorded = str(tmp_path / "recorded")
    first, first_layout, asked = run_whole(
        scripts.model_of(replies), terms=Terms(record=recorded), settings={"recent_steps": 1}
    )
    again, again_layout, none = run_whole(
        lambda asked: Failure(500), terms=Terms(replay=recorded), settings={"recent_steps": 1}
    )
    assert (len(asked), len(none)) == (5 + 2, 0)
    told = [
        [json.loads(line)["reply"] for line in layout.transcript.read_text().splitlines()]
        for layout in (first_layout, again_layout)
    ]
    assert told[0] == told[1] and len(told[0]) == 7
    assert first.status is again.status is RunStatus.FINISHED
    assert first.competition_report.score == again.competition_report.score


@pytest.mark.parametrize(
    ("key", "failure", "told"),
    [
        ("sk-of-somebody-else-1234", Failure(500), "status 502: provider lab refused the key of the host"),
        (None, Failure(404, "no such model", type="model_not_found"), "status 404: no such model"),
    ],
)
def test_a_refused_key_and_an_unknown_model_are_told_in_one_line(run_whole, scripts, key, failure, told):
    given = {} if key is None else {"key": key}
    run, layout, asked = run_whole(scripts.model_of([failure]), **given)
    last = layout.log.read_text().splitlines()[-1]
    assert (run.status, run.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert last.startswith(f"mlagentbench: the model cannot be asked (lab/small: {told}"), last
    assert last.endswith(" after 0 steps; no submission: nothing wrote submission/submission.csv")
    assert len(asked) == (key is None)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("reply_tries", "many"), ("speed", 1)])
def test_wrong_settings_are_refused_before_anything_starts(registry, tmp_path, name, value):
    request = EvalRequest(
        ("mlagentbench",), ("diabetes-progression",), tmp_path, tmp_path / "runs", settings={name: value}
    )
    with pytest.raises(UsageError, match=rf"setting agent\.{name} of mlagentbench"):
        plan(request, registry)
    assert not (tmp_path / "runs").exists()


class TestContract(AgentContract):
    """The variant, whose model needs no --model; the server stands in for the gateway."""

    id = "mlagentbench/gpt-4o"
    settings = {"steps": 1}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def model(cls, scripts):
        copy = scripts.step("Copy File", source="data/sample_submission.csv", target="submission/submission.csv")
        with ModelServer(scripts.model_of([copy])) as server:
            cls.env = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "token"}
            yield
        assert [asked.body["model"] for asked in server.asked] == ["mleb-model"]
