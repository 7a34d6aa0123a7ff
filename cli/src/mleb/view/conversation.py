"""Exchanges with models as messages, in each provider's shape: chat completions, responses, Anthropic's messages."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Part", "asked", "fresh", "replied", "shown"]

MOST_TEXT = 20_000
"""Characters of one part that are shown."""

Kind = Literal["text", "reasoning", "call", "result", "other"]


@dataclass(frozen=True)
class Part:
    """A piece of a conversation."""

    role: str
    """Who speaks: system, user, assistant, tool, or in the provider's words."""
    kind: Kind
    """What it is: a text, hidden thoughts, a tool call, a tool's result, something else."""
    text: str
    """What is said; of a call its arguments."""
    name: str = ""
    """Of the tool."""


def asked(request: Any) -> list[Part]:
    """What a request says, in order; empty for what is no conversation."""
    if not isinstance(request, dict):
        return []
    parts: list[Part] = []
    for name in ("system", "instructions"):
        if request.get(name):
            parts += _content("system", request[name])
    for name in ("messages", "input"):
        given = request.get(name)
        if isinstance(given, list):
            for item in given:
                parts += _item(item, "user")
        elif given is not None:
            parts += _content("user", given)
    if not parts and isinstance(request.get("prompt"), str):
        parts.append(Part("user", "text", request["prompt"]))
    return parts


def replied(reply: Any) -> list[Part]:
    """What a reply says, in order."""
    if not isinstance(reply, dict):
        return [] if reply is None else [Part("assistant", "other", _dumped(reply))]
    parts: list[Part] = []
    choices = reply.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict):
                parts += _item(choice.get("message") or choice, "assistant")
    elif isinstance(reply.get("output"), list):
        for item in reply["output"]:
            parts += _item(item, "assistant")
    elif "content" in reply:
        parts += _content("assistant", reply["content"])
    if not parts and reply.get("error"):
        parts.append(Part("error", "other", _dumped(reply["error"])))
    return parts


def fresh(parts: list[Part], before: list[Part]) -> tuple[list[Part], int]:
    """What of a request was not said in the exchange before: requests repeat the whole conversation.

    Args:
        parts: of the request.
        before: of the request before, and of its reply.

    Returns:
        The new parts, and how many were there before.
    """
    known = 0
    for part, other in zip(parts, before, strict=False):
        if part != other:
            break
        known += 1
    return parts[known:], known


def shown(part: Part) -> dict[str, Any]:
    """A part as pages get it; what is too long is cut, and `cut` says by how many characters."""
    return {**asdict(part), "text": part.text[:MOST_TEXT], "cut": max(0, len(part.text) - MOST_TEXT)}


def _item(item: Any, role: str) -> list[Part]:
    """A message, or an item of the responses API."""
    if not isinstance(item, dict):
        return _content(role, item)
    kind = str(item.get("type", ""))
    if kind in ("function_call", "custom_tool_call"):
        return [Part("assistant", "call", _text(item.get("arguments", item.get("input"))), str(item.get("name", "")))]
    if kind in ("function_call_output", "custom_tool_call_output"):
        return [Part("tool", "result", _text(item.get("output")))]
    if kind == "reasoning":
        thoughts = item.get("summary") or item.get("content")
        return [Part("assistant", "reasoning", part.text) for part in _content("assistant", thoughts)]
    role = str(item.get("role", role))
    parts: list[Part] = []
    for name in ("reasoning_content", "reasoning", "thinking"):
        if isinstance(item.get(name), str) and item[name]:
            parts.append(Part(role, "reasoning", item[name]))
            break
    said = item.get("content", item.get("text"))
    if role == "tool":
        parts += [Part("tool", "result", part.text, str(item.get("name", ""))) for part in _content(role, said)]
    else:
        parts += _content(role, said)
    calls = item.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            parts.append(Part(role, "call", _text(function.get("arguments")), str(function.get("name", ""))))
        else:
            parts.append(Part(role, "call", _text(call)))
    if isinstance(item.get("refusal"), str):
        parts.append(Part(role, "text", item["refusal"]))
    return parts


def _content(role: str, content: Any) -> list[Part]:
    if content is None or content in ("", []):
        return []
    if isinstance(content, str):
        return [Part(role, "text", content)]
    if isinstance(content, list):
        return [part for block in content for part in _block(role, block)]
    return _block(role, content)


def _block(role: str, block: Any) -> list[Part]:
    if not isinstance(block, dict):
        return _content(role, block) if isinstance(block, str | list) else [Part(role, "other", _dumped(block))]
    kind = str(block.get("type", "text"))
    if kind in ("text", "input_text", "output_text", "summary_text", "refusal") or (
        set(block) <= {"type", "text"} and "text" in block
    ):
        return [Part(role, "text", _text(block.get("text", block.get("refusal"))))]
    if kind in ("thinking", "redacted_thinking"):
        return [Part(role, "reasoning", _text(block.get("thinking") or "(hidden by the provider)"))]
    if kind in ("tool_use", "server_tool_use"):
        return [Part(role, "call", _dumped(block.get("input")), str(block.get("name", "")))]
    if kind == "tool_result":
        inner = _content("tool", block.get("content"))
        return [Part("tool", "result", part.text) for part in inner] or [Part("tool", "result", "")]
    if "image" in kind or "audio" in kind or "file" in kind or "document" in kind:
        return [Part(role, "other", f"[{kind}, {len(_dumped(block)):,} characters, not shown]")]
    return [Part(role, "other", _dumped(block))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _dumped(value)


def _dumped(value: Any) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "(cannot be shown)"
