"""Models that know some texts, over real HTTP and the real gateway."""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mleb_core.gateway import Budget, GatewayLimits, Provider, Retries
from mleb_core.gateway.asking import AskedModel
from mleb_core.testing.model_server import Asked, Failure, ModelServer, Reply


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLEB_CACHE_DIR", str(tmp_path / "cache"))


def words(text: str) -> list[str]:
    """Tokens: words with the blanks before them."""
    return re.findall(r"\s*\S+|\s+$", text)


def echoing(probability: Callable[[str], float]) -> Callable[[Asked], Reply]:
    """A server of text completions: each word has a probability that depends on the prompt."""

    def answer(asked: Asked) -> Reply | Failure:
        if asked.path != "/v1/completions":
            return Failure(404, "no such endpoint", type="not_found")
        body = asked.body
        assert body["echo"] is True and body["max_tokens"] == 1
        tokens = words(body["prompt"])
        value = math.log(probability(body["prompt"]))
        told = [(token, value if index else None) for index, token in enumerate(tokens)]
        return Reply(" and", logprobs=[*told, (" and", -9.0)])

    return answer


@pytest.fixture
def model(tmp_path: Path) -> Callable[..., Any]:
    """A model behind the gateway; yields it and the server."""

    @contextlib.contextmanager
    def make(script: Any, budget: Budget | None = None, **options: Any) -> Iterator[tuple[AskedModel, ModelServer]]:
        limits = GatewayLimits(retries=Retries(most=0))
        with ModelServer(script) as server:
            providers = {"lab": Provider("lab", f"{server.url}/v1", **options)}
            with AskedModel("lab/known", tmp_path / "asked", budget, providers=providers, limits=limits) as asked:
                yield asked, server

    return make


@pytest.fixture
def echo() -> Callable[[Callable[[str], float]], Callable[[Asked], Reply]]:
    return echoing
