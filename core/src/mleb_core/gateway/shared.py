"""What all exchanges of a gateway share, and how it answers by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx2
from starlette.types import Send

from mleb_core.gateway.asked import Refused
from mleb_core.gateway.budgets import Till
from mleb_core.gateway.limits import GatewayLimits
from mleb_core.gateway.open_run import OpenRun
from mleb_core.gateway.providers import Endpoint
from mleb_core.gateway.records import Price
from mleb_core.gateway.shapes import error_body
from mleb_core.gateway.transcript import Secrets
from mleb_core.run import RunKey

__all__ = ["Shared", "refuse", "send_whole"]


@dataclass
class Shared:
    """What all exchanges of a gateway share."""

    client: httpx2.AsyncClient
    """Connections to providers."""
    till: Till
    """Who lets requests through."""
    limits: GatewayLimits
    """What is borne."""
    secrets: Secrets
    """What must not be seen."""
    prices: Mapping[str, Price]
    """Prices given by the user."""
    allow_hosted: bool
    """Whether agents may use tools that the provider runs."""
    runs: dict[str, OpenRun] = field(default_factory=dict)
    """Open runs by token."""
    on_exchange: Callable[[RunKey, bytes], None] | None = None
    """Told of every line of a transcript."""
    on_budget: Callable[[RunKey, str], None] | None = None
    """Told when a run's budget is hit."""
    problems: list[str] = field(default_factory=list)
    """What went wrong in the gateway itself, a line each, at most 100."""

    def problem(self, run: OpenRun | None, what: str, error: Exception) -> None:
        """Keep a problem of the gateway's own."""
        if len(self.problems) < 100:
            text = " ".join(str(error).split())
            self.problems.append(f"{run.key if run else 'gateway'}: {what}: {type(error).__name__}: {text}")


async def refuse(send: Send, endpoint: Endpoint | None, refused: Refused) -> None:
    """Answer with an error."""
    headers = {"content-type": "application/json"}
    if refused.close:
        headers["connection"] = "close"
    if refused.wait_s is not None:
        headers["retry-after"] = str(refused.wait_s)
    elif refused.status in (408, 429) or refused.status >= 500:
        headers["x-should-retry"] = "false"  # client libraries would ask again otherwise
    await send_whole(send, refused.status, headers, error_body(endpoint, refused.kind, str(refused)))


async def send_whole(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Answer with a body that is there."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
