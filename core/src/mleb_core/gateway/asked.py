"""Reading what an agent asks, which may be anything: the size, the JSON, the model, what it must not ask for."""

import asyncio
import contextlib
import json
import math
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope

from mleb_core.gateway.limits import GatewayLimits
from mleb_core.gateway.open_run import OpenRun, Target
from mleb_core.gateway.providers import CHAT, COMPLETIONS, MESSAGES, Endpoint
from mleb_core.gateway.shapes import hosted

__all__ = ["Asked", "Refused", "bearer", "check", "drain", "header", "read_body"]


class Refused(Exception):
    """The gateway refuses a request; the message is for the agent."""

    def __init__(self, status: int, kind: str, message: str, *, close: bool = False, wait_s: int | None = None) -> None:
        """Args:
        status: HTTP status.
        kind: the error's type.
        message: one line.
        close: whether the connection ends with it, as the request was not read to its end.
        wait_s: seconds after which it is worth asking again; None: never.
        """
        super().__init__(message)
        self.status, self.kind, self.close, self.wait_s = status, kind, close, wait_s


@dataclass(frozen=True)
class Asked:
    """A request that may go on."""

    endpoint: Endpoint
    """What is asked."""
    body: dict[str, Any]
    """As the agent sent it."""
    size: int
    """Its bytes."""
    model: str
    """The name that the agent used."""
    target: Target
    """The model that it means."""
    stream: bool
    """Whether the reply shall be streamed."""

    def outgoing(self) -> bytes:
        """The body for the provider: its name of the model; and in OpenAI's chat and text streams, usage at the end."""
        body = {**self.body, "model": self.target.name}
        if self.stream and self.endpoint in (CHAT, COMPLETIONS):
            options = self.body.get("stream_options")
            body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return json.dumps(body).encode()

    def wants_usage(self) -> bool:
        """Whether the agent itself asked for usage at the end of a chat stream."""
        options = self.body.get("stream_options")
        return isinstance(options, dict) and bool(options.get("include_usage"))


def header(scope: Scope, name: bytes) -> str:
    """A header of a request; empty where there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def bearer(scope: Scope) -> str:
    """The token of a request, from `authorization: Bearer` or `x-api-key`; empty where there is none."""
    kind, _, token = header(scope, b"authorization").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token else header(scope, b"x-api-key").strip()


async def read_body(scope: Scope, receive: Receive, run: OpenRun, limits: GatewayLimits) -> bytes:
    """The body of a request. What it takes of `run.body_bytes` is the caller's to give back.

    Raises:
        Refused: 413 too large, 408 too slow, 429 too much at once of this run.
        ConnectionError: the client went away.
    """
    told = header(scope, b"content-length")
    if told.isdecimal() and int(told) > limits.request_bytes:
        await drain(receive)
        raise _too_large(limits)
    if not told.isdecimal() and not header(scope, b"transfer-encoding"):
        return b""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.body_s):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionError("the client went away")
                part = message.get("body", b"")
                size += len(part)
                run.body_bytes += len(part)
                if size > limits.request_bytes:
                    break
                if run.body_bytes > limits.run_request_bytes:
                    text = f"requests of more than {limits.run_request_bytes:,} bytes are under way; ask again later"
                    raise Refused(429, "too_many_requests", text, close=True, wait_s=1)
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        text = f"the request did not arrive within {limits.body_s:g} s"
        raise Refused(408, "request_timeout", text, close=True) from None
    finally:
        run.body_bytes -= size
    parts.clear()
    await drain(receive)
    raise _too_large(limits)


def _too_large(limits: GatewayLimits) -> Refused:
    return Refused(413, "request_too_large", f"the request is larger than {limits.request_bytes:,} bytes", close=True)


async def drain(receive: Receive) -> None:
    """Read on for a moment: a client that is still sending would not see the reply."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while (message := await receive())["type"] != "http.disconnect" and message.get("more_body"):
                pass


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} cannot be sent on")
    return value


def check(endpoint: Endpoint, data: bytes, run: OpenRun, limits: GatewayLimits, *, allow_hosted: bool) -> Asked:
    """What is asked, if it may be.

    Raises:
        Refused: 400 no JSON object or something that is not offered; 404 no such model, or not at this endpoint, or the
            run has no model at all.
    """
    if not run.targets:
        raise Refused(404, "not_offered", "this run has no model")
    if sum(data.count(sign) for sign in (b",", b"[", b"{")) > limits.request_parts:
        raise Refused(413, "request_too_large", f"the request has more than {limits.request_parts:,} parts")
    try:
        body = json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Refused(400, "invalid_request_error", "the request is no JSON, or nested too deeply") from None
    if not isinstance(body, dict):
        raise Refused(400, "invalid_request_error", "the request must be a JSON object")
    model = body.get("model")
    target = run.targets.get(model) if isinstance(model, str) else None
    if target is None:
        text = f"no model {str(model)[:200]!r} here; this run may ask: {', '.join(sorted(run.targets))}"
        raise Refused(404, "model_not_found", text)
    if run.replay is None and endpoint not in target.provider.endpoints:
        there = ", ".join("/v1" + known for known in target.provider.endpoints)
        text = f"provider {target.provider.id} has no /v1{endpoint}; ask {there}"
        raise Refused(404, "endpoint_not_found", text)
    if not allow_hosted and (what := hosted(endpoint, body)):
        text = f"{what} is not offered: models only, with tools that the agent runs itself and data: URLs"
        raise Refused(400, "not_offered", text)
    if endpoint is MESSAGES and "max_tokens" not in body:
        raise Refused(400, "invalid_request_error", "max_tokens is missing")
    return Asked(endpoint, body, len(data), str(model), target, body.get("stream") is True)
