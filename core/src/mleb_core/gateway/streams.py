"""Streams of models (server-sent events): cut into whole events, and put together to one reply."""

import json
import re
from typing import Any

from mleb_core.gateway.providers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Endpoint

__all__ = ["Assembly", "EventCutter"]

END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class Pieces(list[str]):
    """A text that comes in pieces."""


class EventCutter:
    """Cuts bytes, as they come, into whole events."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.rest = b""
        """What is not whole yet."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole with this chunk, each with its blank line."""
        start = max(0, len(self.rest) - 3)
        data = self.rest + chunk
        events, begin = [], 0
        for match in END_OF_EVENT.finditer(data, start):
            events.append(data[begin : match.end()])
            begin = match.end()
        self.rest = data[begin:]
        return events


def event_data(event: bytes) -> Any:
    """The JSON in an event; None where there is none."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    if not lines or lines[0] == b"[DONE]":
        return None
    try:
        return json.loads(b"\n".join(lines), parse_constant=str)
    except (ValueError, RecursionError):
        return None


class Assembly:
    """Puts a stream together."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Args:
        endpoint: whose shape the events have.
        """
        self.endpoint = endpoint
        self.whole: dict[str, Any] = {}
        self.ended = False
        """Whether the stream came to its proper end."""
        self.final = False
        """Whether the event came after which clients read no further."""
        self.error: str | None = None
        """The error that the provider told in the stream."""
        self.size = 0
        """Bytes of the events."""
        self._parts: dict[tuple[Any, ...], dict[str, Any]] = {}

    def feed(self, event: bytes) -> bool:
        """Take an event. Returns whether it is nothing but usage that OpenAI's shape sends on demand."""
        self.size += len(event)
        data = event_data(event)
        if not isinstance(data, dict):
            if b"[DONE]" in event:
                self.ended = self.final = True
            return False
        if error := data.get("error"):
            self.error = str(error.get("message") if isinstance(error, dict) else error)
        if self.endpoint in (CHAT, COMPLETIONS):
            return self._chat(data)
        if self.endpoint is MESSAGES:
            self._message(data)
        elif self.endpoint is RESPONSES:
            self._response(data)
        return False

    def _chat(self, data: dict[str, Any]) -> bool:
        for name in ("id", "model", "created", "system_fingerprint", "service_tier"):
            if data.get(name) is not None:
                self.whole[name] = data[name]
        extra = data.get("x_groq")
        usage = data.get("usage") or (extra.get("usage") if isinstance(extra, dict) else None)
        if isinstance(usage, dict):
            self.whole["usage"] = usage
        choices = data.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                into = self._parts.setdefault((choice.get("index"),), {})
                merge(into, {key: value for key, value in choice.items() if key != "index"})
                self.ended = self.ended or choice.get("finish_reason") is not None
        return choices == [] and isinstance(usage, dict)

    def _message(self, data: dict[str, Any]) -> None:
        kind = data.get("type")
        if kind == "message_start" and isinstance(data.get("message"), dict):
            self.whole = dict(data["message"])
        elif kind == "content_block_start" and isinstance(data.get("content_block"), dict):
            self._parts[(data.get("index"),)] = {
                key: Pieces([value]) if isinstance(value, str) and key in ("text", "thinking", "signature") else value
                for key, value in data["content_block"].items()
            }
        elif kind == "content_block_delta" and isinstance(delta := data.get("delta"), dict):
            into = self._parts.setdefault((data.get("index"),), {})
            for name in ("text", "thinking", "signature", "partial_json"):
                if isinstance(delta.get(name), str) and isinstance(held := into.setdefault(name, Pieces()), Pieces):
                    held.append(delta[name])
        elif kind == "message_delta":
            self.whole.update({key: value for key, value in (data.get("delta") or {}).items() if key != "usage"})
            if isinstance(usage := data.get("usage"), dict):
                before = self.whole.get("usage")
                told = {key: value for key, value in usage.items() if value is not None}
                self.whole["usage"] = {**(before if isinstance(before, dict) else {}), **told}
        elif kind == "message_stop":
            self.ended = self.final = True

    def _response(self, data: dict[str, Any]) -> None:
        kind, response = str(data.get("type")), data.get("response")
        if isinstance(response, dict):
            self.whole = response
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            self.ended = self.final = True
        elif kind.endswith(".delta") and isinstance(data.get("delta"), str):
            key = (data.get("output_index"), data.get("content_index"), kind)
            merge(self._parts.setdefault(key, {}), {"delta": data["delta"]})

    def reply(self) -> dict[str, Any]:
        """What has come so far, in the shape of an unstreamed reply."""
        parts = {key: joined(part) for key, part in sorted(self._parts.items(), key=lambda item: str(item[0]))}
        if self.endpoint is RESPONSES:
            cut = {} if self.ended else {"partial": [{"type": key[2], **part} for key, part in parts.items()]}
            return {**self.whole, **cut}
        if self.endpoint is MESSAGES:
            return {**self.whole, "content": [_block(part) for part in parts.values()]} if self.whole or parts else {}
        if self.endpoint is COMPLETIONS:
            texts = [{"index": key[0], **part} for key, part in parts.items()]
            return {**self.whole, "object": "text_completion", "choices": texts} if self.whole or texts else {}
        choices = [_choice(key[0], part) for key, part in parts.items()]
        return {**self.whole, "object": "chat.completion", "choices": choices} if self.whole or choices else {}


def merge(into: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a piece of a streamed object: texts are collected, lists go by their items' `index`, the rest replaces."""
    for key, value in delta.items():
        if isinstance(value, str) and key not in ("role", "id", "type", "index", "finish_reason", "format"):
            if isinstance(held := into.setdefault(key, Pieces()), Pieces):
                held.append(value)
        elif isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            merge(into[key], value)
        elif isinstance(value, list) and value and all(isinstance(item, dict) and "index" in item for item in value):
            items = into.setdefault(key, {})
            for item in value:
                if isinstance(items, dict):
                    merge(
                        items.setdefault(("item", item["index"]), {}), {k: v for k, v in item.items() if k != "index"}
                    )
        elif value is not None or key not in into:
            into[key] = value


def joined(value: Any) -> Any:
    """What `merge` collected, with texts joined and lists as lists."""
    if isinstance(value, dict):
        if value and all(isinstance(key, tuple) for key in value):
            return [joined(value[key]) for key in sorted(value, key=str)]
        return {key: joined(item) for key, item in value.items()}
    if isinstance(value, Pieces):
        return "".join(value)
    return value


def _choice(index: Any, part: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in part.items() if key != "delta"}
    return {"index": index, "message": part.get("delta", {}), **rest}


def _block(part: dict[str, Any]) -> dict[str, Any]:
    text = part.pop("partial_json", None)
    if isinstance(text, str):
        try:
            part["input"] = json.loads(text) if text else {}
        except ValueError:
            part["input"] = {"malformed": text}
    return part
