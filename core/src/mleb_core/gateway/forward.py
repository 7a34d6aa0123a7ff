"""Sending a request to a provider, again if need be."""

import asyncio
import contextlib
import json
import math
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

__all__ = ["Answer", "ProviderTrouble", "Retries", "ask", "retry_after"]


@dataclass(frozen=True)
class Retries:
    """How failures of a provider are borne: 408, 409, 429, 5xx and connections that break."""

    most: int = 6
    """Tries after the first."""
    first_s: float = 0.5
    """Wait after the first failure; doubled after each, up to a quarter more at random."""
    longest_s: float = 30.0
    """Longest wait of one's own accord."""
    longest_asked_s: float = 120.0
    """Longest Retry-After that is heeded; a longer one is passed on to the agent at once."""
    together_s: float = 600.0
    """Longest wait of all tries together."""
    connect_s: float = 20.0
    """Seconds to connect."""
    silence_s: float = 900.0
    """Seconds that a provider may say nothing."""


class ProviderTrouble(Exception):
    """A provider could not be reached, or broke off; one line for the agent."""

    def __init__(self, message: str, status: int, retries: int) -> None:
        """Args:
        message: what happened.
        status: 502 or 504.
        retries: how often it was asked again.
        """
        super().__init__(message)
        self.status, self.retries = status, retries


@dataclass
class Answer:
    """What a provider answered."""

    status: int
    """HTTP status."""
    headers: Mapping[str, str]
    """Headers, names in lower case."""
    body: bytes
    """The whole body; empty where it is streamed."""
    stream: httpx2.Response | None
    """The open reply, where it is a stream."""
    retries: int
    """How often it was asked again."""

    async def chunks(self, most: int) -> AsyncIterator[bytes]:
        """The stream as it comes.

        Raises:
            httpx2.HTTPError: it broke off.
            ProviderTrouble: it is larger than `most` bytes.
        """
        size = 0
        if self.stream is not None:
            async for chunk in self.stream.aiter_bytes():
                size += len(chunk)
                if size > most:
                    raise ProviderTrouble(f"the provider's reply is larger than {most:,} bytes", 502, self.retries)
                yield chunk

    async def close(self) -> None:
        """Let go of the connection."""
        if self.stream is not None:
            with contextlib.suppress(httpx2.HTTPError):
                await self.stream.aclose()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a reply asks to wait; None where it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        with contextlib.suppress(KeyError, ValueError):
            seconds = float(headers[name]) / unit
            if math.isfinite(seconds):
                return max(0.0, seconds)
    try:
        date = parsedate_to_datetime(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _passes(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether asking again may help."""
    if headers.get("x-should-retry") == "false" or not (status in (408, 409, 429) or status >= 500):
        return False
    try:
        error = json.loads(body)["error"]
        return "insufficient_quota" not in (error.get("code"), error.get("type"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True


async def ask(
    client: httpx2.AsyncClient,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    stream: bool,
    retries: Retries,
    most: int,
) -> Answer:
    """Ask a provider until it answers, or it is of no use to ask again.

    Args:
        client: with connections to share.
        url: where.
        headers: with the key.
        body: the JSON.
        stream: whether a stream is wanted; then `Answer.stream` may be open and must be closed.
        retries: how failures are borne.
        most: largest body that is taken, in bytes.

    Raises:
        ProviderTrouble: no answer.
    """
    waited = 0.0
    for tries in range(retries.most + 1):
        asked: float | None = None
        last: Answer | None = None
        try:
            response = await client.send(client.build_request("POST", url, content=body, headers=headers), stream=True)
            kind = response.headers.get("content-type", "")
            if stream and response.status_code == 200 and "event-stream" in kind:
                return Answer(200, response.headers, b"", response, tries)
            try:
                last = Answer(response.status_code, response.headers, await _read(response, most, tries), None, tries)
            finally:
                await response.aclose()
            if not _passes(last.status, last.headers, last.body):
                return last
            asked, trouble = retry_after(last.headers), ProviderTrouble(f"status {last.status}", 502, tries)
        except httpx2.ReadTimeout:  # it may be at work on it still, and be paid for it
            message = f"the provider said nothing for {retries.silence_s:g} s"
            raise ProviderTrouble(message, 504, tries) from None
        except httpx2.HTTPError as error:
            text = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
            trouble = ProviderTrouble(f"the provider cannot be reached ({text})", 502, tries)
        own = min(retries.first_s * 2**tries, retries.longest_s) * (1 + random.random() / 4)
        wait = own if asked is None else asked
        too_long = asked is not None and asked > retries.longest_asked_s
        if tries == retries.most or too_long or waited + wait > retries.together_s:
            if last is not None:
                return last
            raise trouble
        waited += wait
        await asyncio.sleep(wait)
    raise AssertionError("unreachable")


async def _read(response: httpx2.Response, most: int, tries: int) -> bytes:
    parts, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > most:
            raise ProviderTrouble(f"the provider's reply is larger than {most:,} bytes", 502, tries)
        parts.append(chunk)
    return b"".join(parts)


def new_client(retries: Retries) -> httpx2.AsyncClient:
    """A client for all providers. It follows no redirect: a key goes nowhere but where it was meant to."""
    return httpx2.AsyncClient(
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=256, keepalive_expiry=30),
        timeout=httpx2.Timeout(retries.silence_s, connect=retries.connect_s, pool=None),
        follow_redirects=False,
        headers={"user-agent": "mleb", "accept-encoding": "identity"},
    )


def clock() -> float:
    """Seconds, for differences."""
    return time.perf_counter()
