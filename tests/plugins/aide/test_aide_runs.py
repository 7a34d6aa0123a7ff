"""The real aideml, in its own environment, solves a sample competition with a scripted model."""

import json

import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mleb_core.grading.grade import grade_submission
from mleb_core.layout import CompetitionData
from mleb_core.run import Cause, RunStatus
from mleb_core.terms import Budget, Terms
from mleb_core.testing import AgentContract
from mleb_core.testing.model_server import Failure, ModelServer, Reply, ToolCall

LAST_WORDS = -1


@pytest.fixture(scope="module")
def ridge_grade(registry, data_dir, tmp_path_factory):
    """The grade that the first program deserves, from the same model fitted here."""
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


def test_the_best_step_is_handed_in_not_the_last(run_aide, scripts, ridge_grade):
    run, layout, asked = run_aide(scripts.model_of([scripts.RIDGE, scripts.MEAN]), settings={"steps": 2})
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, log
    assert run.competition_report.score == pytest.approx(ridge_grade.score, abs=1e-3)
    assert log.splitlines()[LAST_WORDS].startswith("aide: 2 steps done; handed in the submission of step 1 (metric ")
    assert "Ridge()" in (layout.code / "solution.py").read_text()
    nodes = json.loads((layout.logs / "0-aide" / "journal.json").read_text())["nodes"]
    assert [node["is_buggy"] for node in nodes] == [False, False]
    assert nodes[0]["metric"]["value"] < nodes[1]["metric"]["value"]
    assert {path.name for path in (layout.logs / "0-aide").iterdir()} >= {"tree_plot.html", "config.yaml"}
    usage = json.loads(layout.usage.read_text())
    assert (usage["requests"], len(asked)) == (4, 4)
    assert (run.usage.steps, run.usage.step_unit, run.usage.steps_told) == (2, "programs", True)
    prompt = asked[0].body["messages"][0]["content"]
    assert "./working/submission.csv" in prompt and "Root mean squared error" in prompt
    assert str(layout.root) not in prompt.replace(str(layout.work_validate), "")


def test_a_reached_budget_ends_aide_with_what_it_has(run_aide, scripts, ridge_grade):
    terms = Terms(budget=Budget(requests=3), budget_grace_s=100)
    run, layout, asked = run_aide(scripts.model_of([scripts.RIDGE] * 9), terms=terms)
    assert (run.status, run.cause) == (RunStatus.FINISHED, Cause.BUDGET_REACHED), layout.log.read_text()
    assert len(asked) == 3
    assert "aide: the budget is reached" in layout.log.read_text().splitlines()[LAST_WORDS]
    assert run.competition_report.score == pytest.approx(ridge_grade.score, abs=1e-3)


def test_faults_on_the_way_do_not_end_aide(run_aide, scripts, ridge_grade):
    """One run, one fault after another; only the third and the last program count."""
    kill = scripts.MEAN + "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    programs = [
        Failure(429, retry_after=0),
        Failure(500),
        Failure(400, "this is too long"),  # the step fails and is made again
        kill,
        scripts.MEAN,
        scripts.MEAN,
        scripts.RIDGE,
        scripts.RIDGE.replace("./working/submission.csv", "./working/other.csv"),
    ]
    broken_calls = [Reply(tools=[ToolCall("submit_review", '{"is_bug": fal')])]
    reviews = [
        {},  # of the killed program
        {"metric": 90},  # an int
        {"lower_is_better": False, "metric": 99.5},
        *broken_calls,  # of the first good one; then a sober one of the last
        {"metric": 0.5},
    ]
    run, layout, _ = run_aide(scripts.model_of(programs, reviews), settings={"steps": 5, "num_drafts": 9})
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, log
    nodes = json.loads((layout.logs / "0-aide" / "journal.json").read_text())["nodes"]
    assert [node["is_buggy"] for node in nodes] == [True, False, True, True, False], log
    assert nodes[0]["exc_type"] == "RuntimeError" and "exit code -9" in "".join(nodes[0]["_term_out"])
    assert nodes[1]["metric"]["value"] == 90.0
    assert "minimized" in nodes[2]["analysis"]
    assert "step 1 failed: BadRequestError" in log
    # The fourth is held for faulty and the fifth wrote no submission: the second stays.
    assert "handed in the submission of step 2 (metric 90)" in log.splitlines()[LAST_WORDS]
    assert run.competition_report.score > ridge_grade.score


def test_a_model_that_only_talks_leaves_no_submission(run_aide):
    run, layout, asked = run_aide(lambda asked: Reply("Let us think about it."), settings={"steps": 1})
    assert (run.status, run.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert layout.log.read_text().splitlines()[LAST_WORDS].startswith("aide: 1 step done; no submission: ")
    assert len(asked) == 4  # aideml asks three times for a program, and once for a review


def test_solutions_without_a_reviewer_still_count(run_aide, scripts, ridge_grade):
    """A model without tools: its reviews cannot be read, and the newest program that ended by itself is handed in."""

    def answer(asked):
        return Reply("Fine.") if "tools" in asked.body else scripts.reply_with(scripts.RIDGE)

    run, layout, _ = run_aide(answer, settings={"steps": 1})
    assert run.status is RunStatus.FINISHED, layout.log.read_text()
    assert run.competition_report.score == pytest.approx(ridge_grade.score, abs=1e-3)
    assert "(held for faulty)" in layout.log.read_text().splitlines()[LAST_WORDS]


@pytest.mark.parametrize(
    ("key", "failure", "told"),
    [
        ("sk-of-somebody-else-1234", Failure(500), "key"),
        (None, Failure(404, "no such model", type="model_not_found"), "status 404: no such model"),
    ],
)
def test_a_refused_key_and_an_unknown_model_are_told_in_one_line(run_aide, scripts, key, failure, told):
    given = {} if key is None else {"key": key}
    run, layout, asked = run_aide(scripts.model_of([failure]), **given)
    assert (run.status, run.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    last = layout.log.read_text().splitlines()[LAST_WORDS]
    assert last.startswith("aide: the model cannot be asked (lab/small: status "), last
    assert told in last and len(asked) == (key is None)


class TestContract(AgentContract):
    """A variant, whose models need no --model; the server stands in for the gateway."""

    id = "aide/gpt-4o"
    settings = {"steps": 1}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def model(cls, scripts):
        copy = (
            "import shutil\nshutil.copy('./input/sample_submission.csv', './working/submission.csv')\nprint('RMSE: 1')"
        )
        with ModelServer(scripts.model_of([copy])) as server:
            cls.env = {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "token"}
            yield
        assert {asked.body["model"] for asked in server.asked} == {"mleb-model", "mleb-feedback"}
