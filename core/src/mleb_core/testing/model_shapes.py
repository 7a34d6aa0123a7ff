"""The wire shapes of model providers, as the scripted model server speaks them: whole replies and streams."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from mleb_core.testing.model_server import Reply, ToolCall

__all__ = ["SHAPES", "Shape", "embeddings", "tokens_in"]


class _Whole(Protocol):
    def __call__(self, asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> dict[str, Any]: ...


class _Events(Protocol):
    def __call__(self, asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> Iterator[bytes]: ...


class Shape(NamedTuple):
    """How one endpoint answers; `used` and `made` are input and output tokens."""

    whole: _Whole
    """The reply as one JSON object."""
    events: _Events
    """The reply as server-sent events."""


def tokens_in(reply: "Reply") -> int:
    """A stand-in for the tokens of a reply: a quarter of its characters, at least 1."""
    return max(1, (len(reply.text) + sum(len(_arguments(call)) for call in reply.tools)) // 4)


def embeddings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Vectors of 8 numbers in [-1, 1] from the sha256 of each input, as a list or base64 of little-endian float32."""
    given = asked.get("input", "")
    inputs = given if isinstance(given, list) and not all(isinstance(item, int) for item in given) else [given]
    data = []
    for index, text in enumerate(inputs):
        vector = [byte / 127.5 - 1 for byte in hashlib.sha256(json.dumps(text).encode()).digest()[:8]]
        value: Any = vector
        if asked.get("encoding_format") == "base64":
            value = base64.b64encode(struct.pack("<8f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": value})
    used = max(1, len(json.dumps(given)) // 4)
    usage = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "model": asked.get("model"), "data": data, "usage": usage}


def _arguments(call: "ToolCall") -> str:
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)


def _pieces(reply: "Reply") -> list[str]:
    step = max(1, -(-len(reply.text) // max(1, reply.pieces)))
    return [reply.text[start : start + step] for start in range(0, len(reply.text), step)]


def _sse(value: Any, event: str | None = None) -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


# Chat completions


def _chat_usage(reply: "Reply", used: int, made: int) -> dict[str, Any]:
    details = {"cached_tokens": reply.cached_tokens}
    return {
        "prompt_tokens": used,
        "completion_tokens": made,
        "total_tokens": used + made,
        "prompt_tokens_details": details,
    }


def _chat_calls(reply: "Reply") -> list[dict[str, Any]]:
    return [
        {
            "id": call.id or f"call_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": _arguments(call)},
        }
        for index, call in enumerate(reply.tools)
    ]


def _chat(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tools:
        message["tool_calls"] = _chat_calls(reply)
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "tool_calls" if reply.tools else "stop"}
    if asked.get("logprobs") and reply.logprobs is not None:
        told: list[dict[str, Any]] = [
            {"token": token, "logprob": value, "top_logprobs": []} for token, value in reply.logprobs
        ]
        choice["logprobs"] = {"content": told}
    whole = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": asked.get("model"),
        "choices": [choice],
    }
    return whole | ({"usage": _chat_usage(reply, used, made)} if reply.usage else {})


def _chat_events(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> Iterator[bytes]:
    base = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0, "model": asked.get("model")}

    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return _sse({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in _pieces(reply):
        yield chunk({"content": piece})
    for index, call in enumerate(_chat_calls(reply)):
        text = call["function"]["arguments"]
        first = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        yield chunk({"tool_calls": [first]})
        for part in (text[: len(text) // 2], text[len(text) // 2 :]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield chunk({}, "tool_calls" if reply.tools else "stop")
    if reply.usage and (asked.get("stream_options") or {}).get("include_usage"):
        yield _sse({**base, "choices": [], "usage": _chat_usage(reply, used, made)})
    yield _sse("[DONE]")


# Text completions


def _text(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> dict[str, Any]:
    echoed = str(asked.get("prompt")) if asked.get("echo") else ""
    choice: dict[str, Any] = {"index": 0, "text": echoed + reply.text, "finish_reason": "stop", "logprobs": None}
    if asked.get("logprobs") is not None and reply.logprobs is not None:
        tokens = [token for token, _ in reply.logprobs]
        offsets = [sum(map(len, tokens[:index])) for index in range(len(tokens))]
        values = [value for _, value in reply.logprobs]
        choice["logprobs"] = {"tokens": tokens, "token_logprobs": values, "text_offset": offsets}
    whole = {"id": "cmpl-scripted", "object": "text_completion", "created": 0, "model": asked.get("model")}
    return {**whole, "choices": [choice]} | ({"usage": _chat_usage(reply, used, made)} if reply.usage else {})


def _text_events(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> Iterator[bytes]:
    base = {"id": "cmpl-scripted", "object": "text_completion", "created": 0, "model": asked.get("model")}
    for piece in _pieces(reply):
        yield _sse({**base, "choices": [{"index": 0, "text": piece, "finish_reason": None}]})
    yield _sse({**base, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    if reply.usage and (asked.get("stream_options") or {}).get("include_usage"):
        yield _sse({**base, "choices": [], "usage": _chat_usage(reply, used, made)})
    yield _sse("[DONE]")


# Responses


def _response_items(reply: "Reply") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if reply.text or not reply.tools:
        part = {"type": "output_text", "text": reply.text, "annotations": []}
        items.append({"id": "msg_0", "type": "message", "role": "assistant", "status": "completed", "content": [part]})
    for index, call in enumerate(reply.tools):
        items.append(
            {
                "id": f"fc_{index}",
                "type": "function_call",
                "call_id": call.id or f"call_{index}",
                "name": call.name,
                "arguments": _arguments(call),
                "status": "completed",
            }
        )
    return items


def _response(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> dict[str, Any]:
    usage = {
        "input_tokens": used,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": used + made,
    }
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": asked.get("model"),
        "output": _response_items(reply),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "usage": usage if reply.usage else None,
    }


def _response_events(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> Iterator[bytes]:
    whole, number = _response(asked, reply, used, made), 0

    def event(kind: str, **details: Any) -> bytes:
        nonlocal number
        number += 1
        return _sse({"type": kind, "sequence_number": number, **details}, kind)

    yield event("response.created", response={**whole, "status": "in_progress", "output": [], "usage": None})
    for index, item in enumerate(whole["output"]):
        where = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "message":
            empty = {"type": "output_text", "text": "", "annotations": []}
            yield event("response.output_item.added", output_index=index, item={**item, "content": []})
            yield event("response.content_part.added", **where, content_index=0, part=empty)
            for piece in _pieces(reply):
                yield event("response.output_text.delta", **where, content_index=0, delta=piece, logprobs=[])
            yield event("response.output_text.done", **where, content_index=0, text=reply.text, logprobs=[])
            yield event("response.content_part.done", **where, content_index=0, part=item["content"][0])
        else:
            yield event("response.output_item.added", output_index=index, item={**item, "arguments": ""})
            yield event("response.function_call_arguments.delta", **where, delta=item["arguments"])
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield event("response.function_call_arguments.done", **where, **done)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response=whole)


# Messages (Anthropic)


def _message_blocks(reply: "Reply") -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text or not reply.tools else []
    for index, call in enumerate(reply.tools):
        given = call.arguments if isinstance(call.arguments, Mapping) else {"malformed": call.arguments}
        blocks.append({"type": "tool_use", "id": call.id or f"toolu_{index}", "name": call.name, "input": dict(given)})
    return blocks


def _message_usage(reply: "Reply", used: int, made: int) -> dict[str, Any]:
    return {
        "input_tokens": used - reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": made,
    }


def _message(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> dict[str, Any]:
    whole = {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": asked.get("model"),
        "content": _message_blocks(reply),
        "stop_reason": "tool_use" if reply.tools else "end_turn",
        "stop_sequence": None,
    }
    return whole | ({"usage": _message_usage(reply, used, made)} if reply.usage else {})


def _message_events(asked: Mapping[str, Any], reply: "Reply", used: int, made: int) -> Iterator[bytes]:
    whole = _message(asked, reply, used, made)
    start = {**whole, "content": [], "stop_reason": None}
    if reply.usage:
        start["usage"] = _message_usage(reply, used, 1)
    yield _sse({"type": "message_start", "message": start}, "message_start")
    calls = iter(reply.tools)
    for index, block in enumerate(whole["content"]):
        is_text = block["type"] == "text"
        empty = {**block, **({"text": ""} if is_text else {"input": {}})}
        yield _sse({"type": "content_block_start", "index": index, "content_block": empty}, "content_block_start")
        for piece in _pieces(reply) if is_text else [_arguments(next(calls))]:
            delta = {"type": "text_delta", "text": piece}
            if not is_text:
                delta = {"type": "input_json_delta", "partial_json": piece}
            yield _sse({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
        yield _sse({"type": "content_block_stop", "index": index}, "content_block_stop")
    last: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}}
    if reply.usage:
        last["usage"] = {"output_tokens": made}
    yield _sse(last, "message_delta")
    yield _sse({"type": "message_stop"}, "message_stop")


SHAPES: dict[str, Shape] = {
    "/v1/chat/completions": Shape(_chat, _chat_events),
    "/v1/completions": Shape(_text, _text_events),
    "/v1/responses": Shape(_response, _response_events),
    "/v1/messages": Shape(_message, _message_events),
}
"""The endpoints that take entries of the script."""
