"""A run's directory, a competition's prepared data, and a judge that is a script."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mleb_core.gateway import Budget, GatewayLimits, Provider, Retries
from mleb_core.gateway.asking import AskedModel
from mleb_core.layout import CompetitionData, RunLayout
from mleb_core.ledger import Ledger
from mleb_core.testing.model_server import Asked, ModelServer, Reply

ROWS = 40


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    """A run that has kept nothing yet."""
    run = RunLayout(tmp_path / "runs" / "group" / "birds" / "agent" / "0")
    for folder in (run.code, run.logs, run.submission_dir):
        folder.mkdir(parents=True)
    return run


@pytest.fixture
def data(tmp_path: Path) -> CompetitionData:
    """Training data, a sample submission with ids that are words."""
    found = CompetitionData.of(tmp_path / "data", "birds")
    found.public.mkdir(parents=True)
    (found.public / "train_birds.csv").write_text("id,song,label\n1,a,0\n")
    (found.public / "test.csv").write_text("id,song\n")
    rows = [f"bird-{number:03},0.5" for number in range(ROWS)]
    (found.public / "sample_submission.csv").write_text("\n".join(["id,label", *rows, ""]))
    return found


@pytest.fixture
def hand_in(layout: RunLayout) -> Callable[..., None]:
    """Write a submission: a value for each row, in any order of rows."""

    def write(value: Callable[[int], object], order: Callable[[list[int]], list[int]] = list) -> None:
        rows = [f"bird-{number:03},{value(number)}" for number in order(list(range(ROWS)))]
        layout.submission.write_text("\n".join(["id,label", *rows, ""]))

    return write


@pytest.fixture
def note(layout: RunLayout) -> Callable[..., None]:
    """Add entries to the run's ledger."""

    def add(kind: str, **details: Any) -> None:
        with Ledger.open(layout) as ledger:
            ledger.add(kind, **details)

    return add


@pytest.fixture
def exchange(layout: RunLayout) -> Callable[..., None]:
    """Add an exchange of a chat to the transcript."""

    def add(asked: list[tuple[str, str]], said: str, **message: Any) -> None:
        line = {
            "request": {"messages": [{"role": role, "content": text} for role, text in asked]},
            "reply": {"choices": [{"message": {"role": "assistant", "content": said, **message}}]},
        }
        with layout.transcript.open("a") as stream:
            stream.write(json.dumps(line) + "\n")

    return add


@pytest.fixture
def judged_by(tmp_path: Path) -> Callable[..., Any]:
    """A judge with a script, over real HTTP and the real gateway; yields the model and the server."""

    @contextmanager
    def make(script: Any, budget: Budget | None = None) -> Iterator[tuple[AskedModel, ModelServer]]:
        limits = GatewayLimits(retries=Retries(most=1, first_s=0.01, longest_s=0.02))
        with ModelServer(script) as server:
            providers = {"lab": Provider("lab", f"{server.url}/v1")}
            with AskedModel("lab/judge", tmp_path / "judge", budget, providers=providers, limits=limits) as model:
                yield model, server

    return make


@pytest.fixture
def says() -> Callable[..., Reply]:
    """A judge's answer."""

    def make(*claims: tuple[str, str]) -> Reply:
        found = [{"rule": rule, "quote": quote, "why": f"because of {rule}."} for rule, quote in claims]
        return Reply("Here it is:\n```json\n" + json.dumps({"suspicions": found}) + "\n```")

    return make


@pytest.fixture
def log_of() -> Callable[[Asked], str]:
    """The part of a log that a request shows."""
    return lambda asked: asked.body["messages"][1]["content"]
