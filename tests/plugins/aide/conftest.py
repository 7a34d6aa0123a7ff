"""AIDE's runs against a scripted model that writes real programs and reads what they print."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.models import RunReport
from mleb_core.run import Limits
from mleb_core.testing.model_server import Asked, Failure, ModelServer, Reply, ToolCall

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-0123456789"

PROGRAM = """
import os
import pandas as pd
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

assert not [name for name in os.environ if name.startswith("OPENAI")]
train, test = pd.read_csv("./input/train.csv"), pd.read_csv("./input/test.csv")
columns = [name for name in test.columns if name != "id"]
model = MODEL
rmse = -cross_val_score(model, train[columns], train["progression"], scoring="neg_root_mean_squared_error").mean()
print(f"RMSE: {rmse:.6f}")
predicted = model.fit(train[columns], train["progression"]).predict(test[columns])
pd.DataFrame({"id": test["id"], "progression": predicted}).to_csv("./working/submission.csv", index=False)
"""
RIDGE = PROGRAM.replace("MODEL", "make_pipeline(StandardScaler(), Ridge())")
MEAN = PROGRAM.replace("MODEL", "DummyRegressor()")


def reply_with(program: str) -> Reply:
    """What AIDE wants of the model that writes programs."""
    return Reply(f"I fit a model to the ten columns.\n\n```python\n{program}\n```")


def review(asked: Asked, **changes: object) -> Reply:
    """What a sober reviewer says: the RMSE that the program printed, or that it has a fault."""
    text = "".join(message["content"] for message in asked.body["messages"])
    printed = re.findall(r"^RMSE: ([\d.]+)$", text.split("# Execution output")[-1], re.MULTILINE)
    found: dict[str, object] = {
        "is_bug": not printed,
        "summary": "It ran.",
        "metric": float(printed[-1]) if printed else None,
        "lower_is_better": True,
    }
    return Reply(tools=[ToolCall("submit_review", found | changes)])


Model = Callable[[Asked], Reply | Failure]


def model_of(
    programs: Iterable[str | Reply | Failure], reviews: Iterable[Reply | Failure | dict[str, object]] = ()
) -> Model:
    """A model that writes these programs, and reviews soberly but for the first ones given."""
    written, reviewed = iter(programs), iter(reviews)

    def answer(asked: Asked) -> Reply | Failure:
        if "tools" in asked.body:
            given = next(reviewed, {})
            return review(asked, **given) if isinstance(given, dict) else given
        entry = next(written, "raise ValueError('no more ideas')")
        return reply_with(entry) if isinstance(entry, str) else entry

    return answer


class Scripts:
    """What tests script a model with."""

    RIDGE, MEAN = RIDGE, MEAN
    reply_with = staticmethod(reply_with)
    model_of = staticmethod(model_of)


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
def run_aide(registry, data_dir, tmp_path, monkeypatch):
    """run_aide(model, **fields of the request) -> report of the run, its layout, what was asked."""

    def run(model: Model, *, key: str = KEY, **fields: object) -> tuple[RunReport, RunLayout, list[Asked]]:
        given = {"limits": Limits(time_s=240, grace_s=2), "model": "lab/small", **fields}
        with ModelServer(model, key=KEY) as server:
            monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
            monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", key)
            request = EvalRequest(
                agents=("aide",), competitions=(DIABETES,), data_dir=data_dir, output=tmp_path / "runs", **given
            )
            report = evaluate(request, registry)
        (one,) = report.runs
        key_of = one.key
        layout = GroupLayout(Path(report.directory)).run(key_of.competition, key_of.agent, key_of.seed)
        return one, layout, server.asked

    return run
