"""Runs of the research agent against a scripted model, whole and as a plain process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.models import RunReport
from mleb_core.run import Limits
from mleb_core.testing.model_server import Asked, Failure, ModelServer, Reply
from mleb_mlagentbench.settings import Settings

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-0123456789"
PROGRAM = """
import os
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

assert not [name for name in os.environ if name.startswith(("OPENAI", "ANTHROPIC"))]
train, test = pd.read_csv("data/train.csv"), pd.read_csv("data/test.csv")
columns = [name for name in test.columns if name != "id"]
model = make_pipeline(StandardScaler(), Ridge())
rmse = -cross_val_score(model, train[columns], train["progression"], scoring="neg_root_mean_squared_error").mean()
print(f"RMSE: {rmse:.3f}")
predicted = model.fit(train[columns], train["progression"]).predict(test[columns])
pd.DataFrame({"id": test["id"], "progression": predicted}).to_csv("submission/submission.csv", index=False)
"""
FORM = """\
Reflection: {number} is where I am.
Research Plan and Status: 1. Look at the data. 2. Fit a model.
Fact Check: Nothing is guessed.
Thought: I go on.
Action: {action}
Action Input: {given}
"""
Entry = str | Reply | Failure
Model = Callable[[Asked], Entry]


def step(action: str, number: int = 0, **given: object) -> str:
    """A reply in the right form."""
    return FORM.format(number=number, action=action, given=json.dumps(given))


def prompt_of(asked: Asked) -> str:
    """What the model was asked."""
    (message,) = asked.body["messages"]
    return message["content"]


def is_step(asked: Asked) -> bool:
    """Whether it was asked for the next step."""
    return prompt_of(asked).startswith("You are a machine-learning researcher")


def model_of(steps: Iterable[Entry], others: Iterable[Entry] = (), summary: str = "It went well.") -> Model:
    """A model that gives these replies as steps, then its final answer; and others where an action asks it; summaries
    are all the same.
    """
    told, edited = iter(steps), iter(others)

    def answer(asked: Asked) -> Entry:
        if is_step(asked):
            return next(told, step("Final Answer", answer="That is all."))
        if prompt_of(asked).startswith("A researcher works"):
            return summary
        return next(edited, "I know nothing more.")

    return answer


class Scripts:
    """What tests script a model with."""

    PROGRAM, FORM = PROGRAM, FORM
    step, prompt_of, is_step, model_of = map(staticmethod, (step, prompt_of, is_step, model_of))


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


@pytest.fixture
def run_whole(registry, data_dir, tmp_path, monkeypatch):
    """run_whole(model, **fields of the request) -> report of the run, its layout, what was asked."""

    def run(model: Model, *, key: str = KEY, **fields: object) -> tuple[RunReport, RunLayout, list[Asked]]:
        given = {"limits": Limits(time_s=240, grace_s=2), "model": "lab/small", **fields}
        with ModelServer(model, key=KEY) as server:
            monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
            monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", key)
            request = EvalRequest(
                agents=("mlagentbench",), competitions=(DIABETES,), data_dir=data_dir, output=tmp_path / "runs", **given
            )
            report = evaluate(request, registry)
        (one,) = report.runs
        return (
            one,
            GroupLayout(Path(report.directory)).run(one.key.competition, one.key.agent, one.key.seed),
            server.asked,
        )

    return run


@dataclass
class Place:
    """A place for the agent as a plain process, without a runner around it."""

    root: Path

    def env(self, url: str, time_limit_s: float, settings: Mapping[str, object]) -> dict[str, str]:
        """The environment of a run."""
        filled = {**Settings.model_validate(settings).model_dump(), "model_name": "lab/small"}
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root / "home"), "TIME_LIMIT_SECS": str(time_limit_s)}
        env |= {f"MLEB_{name.upper()}": str(self.root / name) for name in ("data", "submission", "code", "logs")}
        env |= {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "token", "TEST_ROOT": str(self.root)}
        env |= {"MLEB_INSTRUCTIONS": str(self.root / "instructions.txt")}
        return env | {"MLAGENTBENCH_SETTINGS": json.dumps(filled)}

    def start(self, url: str, time_limit_s: float = 240, **settings: object) -> subprocess.Popen:
        """Start it; what it prints goes to `output`."""
        with (self.root / "output").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "mleb_mlagentbench"],
                env=self.env(url, time_limit_s, settings),
                stdout=output,
                stderr=output,
                cwd=self.root / "home",
            )

    @property
    def output(self) -> str:
        return (self.root / "output").read_text()

    @property
    def last(self) -> str:
        return self.output.splitlines()[-1]

    @property
    def steps(self) -> list[dict]:
        return [json.loads(line) for line in (self.root / "logs" / "steps.jsonl").read_text().splitlines()]


@pytest.fixture
def place(tmp_path):
    for name in ("home", "data", "submission", "code", "logs"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "description.md").write_text("Guess the {number}.")
    (tmp_path / "data" / "train.csv").write_text("id,y\n1,2\n")
    (tmp_path / "instructions.txt").write_text(
        f"Read {tmp_path}/data, write {tmp_path}/submission, leave code in {tmp_path}/code."
    )
    return Place(tmp_path)


@pytest.fixture
def run_alone(place):
    """run_alone(model, **settings) -> exit code and what was asked; the agent as a plain process, at `place`."""

    def run(model: Model, time_limit_s: float = 240, **settings: object) -> tuple[int, list[Asked]]:
        with ModelServer(model) as server:
            process = place.start(server.url, time_limit_s, **settings)
            try:
                code = process.wait()
            finally:
                process.kill()
                process.wait()
        return code, server.asked

    return run
