"""A gateway in front of a scripted provider, both over real HTTP."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mleb_core.gateway import Budget, Endpoint, Gateway, GatewayLimits, Provider, Retries
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey
from mleb_core.testing.model_server import ModelServer, Script

KEY = "sk-host-only-0123456789abcdef"
LIMITS = GatewayLimits(retries=Retries(most=3, first_s=0.01, longest_s=0.05, silence_s=20))


@dataclass
class Served:
    """What a test talks to."""

    gateway: Gateway
    model: ModelServer
    token: str
    layout: RunLayout
    run_key: RunKey
    key: str = KEY

    def post(self, path: str, body: Any, token: str | None = None, **headers: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {token or self.token}", **headers}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with httpx2.Client(timeout=60) as client:
            return client.post(self.gateway.url + path, content=content, headers=headers)

    def chat(self, text: str = "hi", **more: Any) -> httpx2.Response:
        return self.post("/v1/chat/completions", chat(text, **more))

    def register(self, seed: int, budget: Budget | None = None, **options: Any) -> tuple[str, RunLayout]:
        layout = run_layout(self.layout.root.parent, seed)
        return self.gateway.register_run(run_key(seed), layout, budget, **options), layout

    def until(self, happened: Callable[[], Any]) -> None:
        """Wait for something; pytest's own limit ends a wait in vain."""
        while not happened():
            time.sleep(0.01)

    def transcript(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.layout.transcript.read_bytes().splitlines()]


def chat(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": "mleb-model", "messages": [{"role": "user", "content": text}], **more}


def run_key(seed: int = 0) -> RunKey:
    return RunKey(competition="iris", agent="aide/test", seed=seed)


def run_layout(root: Path, seed: int = 0) -> RunLayout:
    layout = RunLayout(root / f"run{seed}")
    layout.root.mkdir(parents=True, exist_ok=True)
    return layout


def provider(model: ModelServer | str, id: str = "openai") -> Provider:
    url = model if isinstance(model, str) else model.url
    return Provider(id, f"{url}/v1", tuple(Endpoint), key=KEY, key_names=("OPENAI_API_KEY",), price_id=id)


Serve = Callable[..., contextlib.AbstractContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @contextlib.contextmanager
    def make(
        script: Script = (),
        budget: Budget | None = None,
        *,
        models: str = "openai/gpt-4o",
        price_id: str | None = "openai",
        **options: Any,
    ) -> Iterator[Served]:
        options = {"limits": LIMITS, **options}
        with ModelServer(script, key=KEY) as model:
            providers = {name: provider(model, name) for name in ("openai", "anthropic", "strange")}
            providers["strange"] = replace(providers["strange"], price_id=None)
            with Gateway(models, providers=providers, **options) as gateway:
                layout = run_layout(tmp_path)
                token = gateway.register_run(run_key(), layout, budget)
                yield Served(gateway, model, token, layout, run_key())
                assert gateway.problems == ()

    return make
