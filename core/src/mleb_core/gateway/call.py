"""A model call under way: counted against the budget, asked or replayed, passed on, written down."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
from starlette.types import Receive, Scope, Send

from mleb_core.gateway.asked import Asked, Refused, header
from mleb_core.gateway.budgets import BudgetReached, Hold
from mleb_core.gateway.forward import Answer, ProviderTrouble, ask, clock
from mleb_core.gateway.open_run import OpenRun
from mleb_core.gateway.prices import cost_usd
from mleb_core.gateway.providers import EMBEDDINGS, MESSAGES
from mleb_core.gateway.recording import Recording, digests
from mleb_core.gateway.records import ModelUsage, Tokens
from mleb_core.gateway.shapes import BYTES_A_TOKEN, error_body, guess, tokens_of
from mleb_core.gateway.shared import Shared, send_whole
from mleb_core.gateway.streams import Assembly, EventCutter
from mleb_core.gateway.transcript import usage_of
from mleb_core.run import RunKey, now

__all__ = ["Call"]

PASSED_ON = ("content-type", "x-request-id", "request-id", "retry-after")
VERSION_CHARACTERS = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,_- ")
LINGER_S = 1.0
STREAM_HEAD = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Call:
    """An exchange under way."""

    def __init__(self, shared: Shared, run: OpenRun, asked: Asked) -> None:
        self.shared, self.run, self.asked = shared, run, asked
        self.status = 0
        self.error: str | None = None
        self.tokens: Tokens | None = None
        self.reply = b"null"
        self.raw = bytearray()
        """The stream as it came; kept for a recording only."""
        self.content_type = "application/json"
        self.received = 0
        self.retries = 0
        self.first_s: float | None = None
        self.last: Callable[[Send], Awaitable[None]] | None = None
        """What is sent once the exchange is counted and written: the whole reply, or a stream's end."""
        self.started = clock()

    def _price(self, tokens: Tokens) -> float | None:
        return cost_usd(self.asked.target.provider, self.asked.target.name, tokens, self.shared.prices)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From the budget to the transcript."""
        shared, run, asked = self.shared, self.run, self.asked
        roots = [run.token, str(run.layout.root), str(run.layout.root.absolute())]
        found_by = digests(asked.endpoint, asked.body, roots) if run.recorder or run.replay else ("", "")
        hold = await self._admit(receive)
        run.number += 1
        number, time = run.number, now()
        place = run.recorder.next_number() if run.recorder else 0
        outgoing = asked.outgoing()
        self.started = clock()
        recording = None
        try:
            if run.replay is not None:
                recording = self._replay(found_by)
            else:
                await self._forward(outgoing, scope, send)
        except asyncio.CancelledError:
            self.error = "the run ended"
            raise
        except Exception as error:
            self.error = f"{type(error).__name__}: {' '.join(str(error).split())}"
            shared.problem(run, "exchange", error)
            raise
        finally:
            estimated = self.tokens is None and self.status in (0, 200)
            tokens = self.tokens or (self._estimate(len(outgoing)) if estimated else Tokens())
            cost = recording.cost_usd if recording else 0.0 if not tokens.total else self._price(tokens)
            shared.till.settle(run.meters, hold, tokens, cost)
            facts = {
                "time": time,
                "number": number,
                "endpoint": "/v1" + asked.endpoint,
                "asked": asked.model,
                "model": str(asked.target),
                "status": self.status,
                "error": self.error,
                "stream": asked.stream,
                "seconds": round(clock() - self.started, 4),
                "first_byte_s": None if self.first_s is None else round(self.first_s, 4),
                "retries": self.retries,
                "tokens": tokens.model_dump(),
                "estimated": estimated,
                "cost_usd": cost,
            }
            run.models[str(asked.target)] = run.models.get(str(asked.target), ModelUsage()) + usage_of(facts)
            self._keep(facts, outgoing, place, found_by)
        if self.last is not None:
            await self.last(send)

    async def _admit(self, receive: Receive) -> Hold:
        """Wait for the budget; give up when the client does."""
        run, asked = self.run, self.asked
        held = guess(asked.endpoint, asked.body, asked.size)
        money = any(meter.budget.cost_usd is not None for meter in run.meters)
        cost = self._price(held) if money else None
        if money and cost is None and run.replay is None:
            text = f"the price of {asked.target} is unknown, so a budget in money cannot be kept for it"
            raise Refused(400, "price_unknown", text)
        hold = Hold(held, cost)
        gone: asyncio.Future[Any] | None = None
        changed: asyncio.Future[Any] | None = None
        try:
            while not self.shared.till.admit(run.meters, hold):
                gone = gone or asyncio.ensure_future(receive())  # says nothing more but that the client went away
                changed = asyncio.ensure_future(self.shared.till.changed.wait())
                await asyncio.wait([changed, gone], return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise ConnectionError("the client went away")
        except BudgetReached as reached:
            if run.budget_reached is None:
                run.budget_reached = str(reached)
                if self.shared.on_budget:
                    self._tell(self.shared.on_budget, str(reached))
            raise Refused(429, "budget_reached", f"{reached}; no more model calls are possible") from None
        finally:
            for future in (changed, gone):
                if future is not None and not future.done():
                    future.cancel()
        return hold

    def _estimate(self, size: int) -> Tokens:
        held = guess(self.asked.endpoint, {"max_tokens": 1}, size)
        made = 0 if self.asked.endpoint is EMBEDDINGS else self.received // BYTES_A_TOKEN
        return Tokens(input=held.input, output=made)

    def _replay(self, found_by: tuple[str, str]) -> Recording:
        replay = self.run.replay
        assert replay is not None
        recording = replay.take(found_by)
        if recording is None:
            self.status, self.error = 404, "not recorded"
            text = (
                f"this request was not recorded: {len(replay.used)} of {replay.total} recorded exchanges of "
                f"{self.run.key} are used"
            )
            self.tokens = Tokens()
            body = error_body(self.asked.endpoint, "not_recorded", text)
            self.reply = body
            self._answer(404, {"content-type": "application/json"}, body)
            return _NOTHING
        self.status, self.content_type = recording.status, recording.content_type
        self.first_s = clock() - self.started
        body = recording.body
        if "event-stream" in recording.content_type:
            assembly = Assembly(self.asked.endpoint)
            self.received = len(body)
            body = b"".join(event for event in EventCutter().feed(body) if self._shown(assembly, event))
            self._end_of(assembly)
            self.reply = json.dumps(assembly.reply()).encode()
        else:
            self._take_whole(body)
        self._answer(recording.status, {"content-type": recording.content_type}, body)
        return recording

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        async def last(send: Send) -> None:
            await send_whole(send, status, headers, body)

        self.last = last

    def _shown(self, assembly: Assembly, event: bytes) -> bool:
        """Take an event of a stream. Returns whether the agent sees it: usage it did not ask for is kept from it."""
        only_usage = assembly.feed(event)
        return not only_usage or self.asked.wants_usage()

    def _end_of(self, assembly: Assembly) -> None:
        self.tokens = tokens_of(self.asked.endpoint, assembly.whole)
        if self.asked.endpoint is MESSAGES and not assembly.ended:
            self.tokens = None  # what message_start tells of the output is no count yet
        if assembly.error:
            self.error = assembly.error
        elif not assembly.ended:
            self.error = self.error or "the stream was cut"

    def _take_whole(self, body: bytes) -> None:
        self.received = len(body)
        try:
            reply = json.loads(body, parse_constant=str)
        except (ValueError, RecursionError):
            reply = None
        if reply is None:
            self.reply = json.dumps(body[:100_000].decode("utf-8", "replace")).encode()
        else:
            self.reply = json.dumps(reply).encode()
            self.tokens = tokens_of(self.asked.endpoint, reply)
        if self.status >= 400:
            error = reply.get("error") if isinstance(reply, dict) else None
            message = error.get("message") if isinstance(error, dict) else error
            self.error = " ".join(str(message or f"status {self.status}").split())[:500]
        elif reply is None:
            self.error = "the reply is no JSON"

    async def _forward(self, outgoing: bytes, scope: Scope, send: Send) -> None:
        asked, shared = self.asked, self.shared
        provider, limits = asked.target.provider, shared.limits
        headers = {"content-type": "application/json", **provider.headers(asked.endpoint)}
        if asked.endpoint is MESSAGES:
            headers["anthropic-version"] = "2023-06-01"
            for name in ("anthropic-version", "anthropic-beta"):
                if (value := header(scope, name.encode())) and set(value) <= VERSION_CHARACTERS and len(value) < 500:
                    headers[name] = value
        url = provider.base_url + asked.endpoint
        try:
            answer = await ask(
                shared.client,
                url,
                headers,
                outgoing,
                stream=asked.stream,
                retries=limits.retries,
                most=limits.reply_bytes,
            )
        except ProviderTrouble as trouble:
            self.status, self.error, self.retries = trouble.status, str(trouble), trouble.retries
            self.tokens = Tokens()
            text = f"provider {provider.id}: {trouble}"
            self.content_type = "application/json"
            self.reply = error_body(asked.endpoint, "provider_unreachable", text)
            failed = {"content-type": "application/json", "x-should-retry": "false"}
            self._answer(trouble.status, failed, self.reply)
            return
        self.retries, self.status = answer.retries, answer.status
        self.content_type = answer.headers.get("content-type", "application/json")
        self.first_s = clock() - self.started
        passed = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
        if answer.stream is not None:
            await self._relay(answer, {**passed, **STREAM_HEAD}, send)
            return
        body = shared.secrets.remove_from(answer.body)
        if answer.status in (401, 403):  # what providers say of a key often holds a part of it
            body = error_body(
                asked.endpoint,
                "provider_refused_key",
                f"provider {provider.id} refused the key of the host with status {answer.status}",
            )
            self.status, self.content_type, passed = 502, "application/json", {"content-type": "application/json"}
        elif 300 <= answer.status < 400:
            body = error_body(asked.endpoint, "provider_redirects", f"provider {provider.id} answered with a redirect")
            self.status, self.content_type, passed = 502, "application/json", {"content-type": "application/json"}
        self._take_whole(body)
        if answer.retries and self.status >= 400:
            passed["x-should-retry"] = "false"  # it was tried again enough
        self.raw += body if self.run.recorder else b""
        self._answer(self.status, passed, body)

    async def _relay(self, answer: Answer, headers: Mapping[str, str], send: Send) -> None:
        """Pass a stream on. When the client is gone it is read to its end all the same, for the usage stands there.

        The last event waits until the exchange is counted and written, so that a client that has read it finds it so.
        """
        shared, asked = self.shared, self.asked
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": pairs})
        cutter, assembly = EventCutter(), Assembly(asked.endpoint)
        listening, held = True, b""
        try:
            async with asyncio.timeout(None) as patience:
                async for chunk in answer.chunks(shared.limits.reply_bytes):
                    self.received += len(chunk)
                    out = b""
                    for event in cutter.feed(chunk):
                        clean = shared.secrets.remove_from(event)
                        self.raw += clean if self.run.recorder else b""
                        shown = clean if self._shown(assembly, clean) else b""
                        if assembly.final:
                            held += shown
                        else:
                            out += shown
                    if assembly.final and patience.when() is None:  # all is said: the connection should end now
                        patience.reschedule(asyncio.get_running_loop().time() + LINGER_S)
                    listening = listening and await self._pass(send, out)
        except TimeoutError:
            pass  # the provider leaves a connection open on which all was said
        except (httpx2.HTTPError, ProviderTrouble) as trouble:
            if not assembly.final:
                text = f"provider {asked.target.provider.id}: the stream was cut ({type(trouble).__name__})"
                self.error = text
                event = b"event: error\n" if asked.endpoint is MESSAGES else b""
                held = event + b"data: " + error_body(asked.endpoint, "stream_cut", text) + b"\n\n"
                self.raw += held if self.run.recorder else b""
        finally:
            await answer.close()
            self._end_of(assembly)
            if cutter.rest.strip():
                self.error = self.error or "the stream was cut"
            self.reply = json.dumps(assembly.reply()).encode()

        async def last(send: Send) -> None:
            if listening:
                await send({"type": "http.response.body", "body": held})

        self.last = last

    async def _pass(self, send: Send, data: bytes) -> bool:
        """Send a piece. Returns whether the client still listens."""
        if data:
            try:
                async with asyncio.timeout(self.shared.limits.send_s):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
            except (TimeoutError, OSError):
                return False
        return True

    def _keep(self, facts: dict[str, Any], outgoing: bytes, place: int, found_by: tuple[str, str]) -> None:
        """Write the transcript and the recording. That they cannot be written costs the agent nothing, but is told."""
        shared, run = self.shared, self.run
        try:
            line = run.transcript.add(facts, outgoing, self.reply, shared.secrets)
            if shared.on_exchange:
                self._tell(shared.on_exchange, line)
            if run.recorder and self.status:
                body = bytes(self.raw) or self.reply
                recording = {
                    "run": str(run.key),
                    "endpoint": facts["endpoint"],
                    "model": facts["model"],
                    "status": self.status,
                    "content_type": self.content_type,
                    "cost_usd": facts["cost_usd"],
                    "tokens": facts["tokens"],
                    "body": shared.secrets.remove_from(body).decode("utf-8", "replace"),
                    "request": json.loads(shared.secrets.remove_from(json.dumps(self.asked.body).encode())),
                }
                run.recorder.add(place, found_by, recording)
        except OSError as error:
            shared.problem(run, "transcript", error)

    def _tell(self, listener: Callable[[RunKey, Any], None], what: Any) -> None:
        try:
            listener(self.run.key, what)
        except Exception as error:
            self.shared.problem(self.run, "listener", error)


class _Nothing(Recording):
    def __init__(self) -> None:
        self.cost_usd = 0.0


_NOTHING = _Nothing()
