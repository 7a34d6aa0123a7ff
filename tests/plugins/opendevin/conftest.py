"""OpenHands' runs against a scripted model that uses its tools."""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from mleb_core.environments import check_environment, python_for
from mleb_core.errors import RunnerError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.grading.grade import grade_submission
from mleb_core.layout import CompetitionData, GroupLayout, RunLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.models import RunReport
from mleb_core.run import Limits
from mleb_core.testing.model_server import Asked, Failure, ModelServer, Reply, ToolCall
from mleb_opendevin.scaffold import OpenHands

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-0123456789"

PROGRAM = """
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
print("rows written:", len(predicted))
"""


def run_command(command: str, says: str = "", **further: object) -> Reply:
    """A reply that uses the terminal."""
    return Reply(says, tools=[ToolCall("terminal", {"command": command, "security_risk": "LOW", **further})])


def write_file(path: str, text: str) -> Reply:
    """A reply that uses the editor."""
    arguments = {"command": "create", "path": path, "file_text": text, "security_risk": "LOW"}
    return Reply("I write the program.", tools=[ToolCall("file_editor", arguments)])


def finish() -> Reply:
    """A reply that says that all is done."""
    return Reply(tools=[ToolCall("finish", {"message": "The submission is there."})])


def code_of(asked: Asked) -> str:
    """The directory that the task says the terminal starts in."""
    texts = [part["text"] for part in asked.body["messages"][1]["content"]]
    found = re.search(r"Your terminal starts in (\S+);", "".join(texts))
    assert found is not None, texts
    return found[1]


Model = Callable[[Asked], Reply | Failure]


def model_of(replies: Iterable[Reply | Failure | str | Callable[[Asked], Reply]]) -> Model:
    """A model that gives these replies, one after the other, and then says that it has no more to say."""
    given = iter(replies)

    def answer(asked: Asked) -> Reply | Failure:
        entry = next(given, "I have no more to say.")
        if callable(entry):
            return entry(asked)
        return Reply(entry) if isinstance(entry, str) else entry

    return answer


def solution() -> list[Reply | Callable[[Asked], Reply]]:
    """Replies that solve the competition with a real model, by both tools."""
    return [
        lambda asked: write_file(f"{code_of(asked)}/solve.py", PROGRAM),
        run_command("python3 solve.py", "Now I run it.", timeout=120),
        finish(),
    ]


class Scripts:
    """What tests script a model with."""

    run_command, finish = staticmethod(run_command), staticmethod(finish)
    model_of, solution, code_of = staticmethod(model_of), staticmethod(solution), staticmethod(code_of)


@pytest.fixture(scope="session")
def scripts() -> type[Scripts]:
    return Scripts


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="session")
def data_dir(registry, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(registry.competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture(scope="session")
def openhands_python() -> str:
    """The interpreter of OpenHands' environment on this machine, which is made once and kept.

    Skipped where this machine has no Python that OpenHands runs on, but never in CI.
    """
    scaffold = OpenHands("opendevin")
    try:
        check_environment(scaffold.environment({}))
    except RunnerError as error:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    return python_for(scaffold, {})


@pytest.fixture(scope="session")
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


@pytest.fixture
def run_openhands(openhands_python, registry, data_dir, tmp_path, monkeypatch):
    """run_openhands(model, **fields of the request) -> report of the run, its layout, what was asked."""

    def run(model: Model, *, key: str = KEY, **fields: object) -> tuple[RunReport, RunLayout, list[Asked]]:
        given = {"agents": ("opendevin",), "limits": Limits(time_s=240, grace_s=2), "model": "lab/small", **fields}
        with ModelServer(model, key=KEY) as server:
            monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
            monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", key)
            request = EvalRequest(competitions=(DIABETES,), data_dir=data_dir, output=tmp_path / "runs", **given)
            report = evaluate(request, registry)
        (one,) = report.runs
        key_of = one.key
        layout = GroupLayout(Path(report.directory)).run(key_of.competition, key_of.agent, key_of.seed)
        return one, layout, server.asked

    return run
