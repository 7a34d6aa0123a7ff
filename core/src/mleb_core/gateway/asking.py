"""A model asked by mleb itself, as audits do: with keys, budgets, prices and transcripts as in runs.

    with AskedModel("openai/gpt-4o", Path("audit/judge"), Budget(cost_usd=5)) as model:
        reply = model.ask("/chat/completions", {"messages": [...]})

Needs `pip install mleb-core[gateway]`.
"""

import contextlib
import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mleb_core.errors import MlebError, RunGroupError
from mleb_core.gateway.providers import Provider
from mleb_core.gateway.records import Budget, Usage
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey

if TYPE_CHECKING:
    from mleb_core.gateway.limits import GatewayLimits

__all__ = ["AskedModel", "ModelError"]

SILENCE_S = 3600.0
"""How long an answer may take in all; the gateway itself gives up a provider much sooner."""


class ModelError(MlebError):
    """A model does not answer, and asking again at once is of no use: the gateway has done so."""

    def __init__(self, line: str, kind: str) -> None:
        """Args:
        line: the message.
        kind: the error's type, as in docs/gateway.md ("budget_reached", "provider_unreachable", ...) or the provider's.
        """
        super().__init__(line)
        self.kind = kind


class AskedModel:
    """One model behind a gateway of its own, while its context is open. Any thread may ask."""

    def __init__(
        self,
        model: str,
        kept: Path,
        budget: Budget | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
        record: Path | None = None,
        replay: Path | None = None,
        limits: "GatewayLimits | None" = None,
    ) -> None:
        """Args:
        model: `provider/name`.
        kept: directory for transcript.jsonl and usage.json; made if need be. What is there is added to.
        budget: what may be used.
        providers, record, replay, limits: as in `Gateway`.

        Raises:
            UsageError: as `Gateway`; or the extra `gateway` is not installed.
        """
        from mleb_core.gateway import Gateway

        self.model = model
        """`provider/name`."""
        self._layout = RunLayout(kept)
        self._budget = budget
        self._gateway = Gateway(model, providers=providers, record=record, replay=replay, limits=limits)
        self._token = ""
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start the gateway.

        Raises:
            UsageError: no such model, no key for its provider, or a budget in money and an unknown price.
            RunGroupError: the directory cannot be made or written.
        """
        self._gateway.check(budget=self._budget)
        try:
            self._layout.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunGroupError(f"{self._layout.root} cannot be made: {error.strerror}") from error
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._gateway)
            key = RunKey(competition="audit", agent="audit", seed=0)
            self._token = self._gateway.register_run(key, self._layout, self._budget)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details: object) -> None:
        """Stop it, and write usage.json."""
        self._stack.__exit__(None, None, None)

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        return self._gateway.usage(self._token)

    def ask(self, endpoint: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, and wait for the whole answer.

        Args:
            endpoint: such as "/chat/completions", below /v1.
            body: the request without `model`.

        Raises:
            ModelError: there is no answer, or it is no JSON object.
        """
        address = self._gateway.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=SILENCE_S)
        head = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        try:
            connection.request("POST", f"/v1{endpoint}", json.dumps({**body, "model": "mleb-model"}).encode(), head)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"{self.model}: the gateway does not answer ({text})", "gateway_error") from error
        finally:
            connection.close()
        try:
            reply = json.loads(content)
        except (ValueError, RecursionError):
            reply = None
        if status != 200 or not isinstance(reply, dict):
            said = reply.get("error") if isinstance(reply, dict) else None
            facts = said if isinstance(said, dict) else {}
            told = " ".join(str(facts.get("message") or said or "no JSON").split())[:300]
            raise ModelError(f"{self.model}: {told} (status {status})", str(facts.get("type") or "provider_error"))
        return reply
