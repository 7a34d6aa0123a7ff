"""What the gateway reads from requests and replies of each endpoint, and the errors it answers in their shape."""

import json
from collections.abc import Mapping
from typing import Any

from mleb_core.gateway.providers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Endpoint
from mleb_core.gateway.records import Tokens

__all__ = ["error_body", "guess", "hosted", "tokens_of"]

BYTES_A_TOKEN = 4
MOST_GUESSED = (1_000_000, 64_000)


def _count(usage: Mapping[str, Any], *path: str) -> int:
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def tokens_of(endpoint: Endpoint, reply: Any) -> Tokens | None:
    """The tokens that a reply tells; None where it tells none."""
    usage = reply.get("usage") if isinstance(reply, dict) else None
    if not isinstance(usage, dict):
        return None
    if endpoint is MESSAGES:
        read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
        if "output_tokens" not in usage:
            return None
        total = _count(usage, "input_tokens") + read + written
        return Tokens(input=total, output=_count(usage, "output_tokens"), cached=read, cache_written=written)
    names = ("input_tokens", "output_tokens") if endpoint is RESPONSES else ("prompt_tokens", "completion_tokens")
    if names[0] not in usage:
        return None
    used, made = _count(usage, names[0]), _count(usage, names[1])
    details = names[0] + "_details", names[1] + "_details"
    cached = _count(usage, details[0], "cached_tokens") or _count(usage, "prompt_cache_hit_tokens")
    return Tokens(
        input=used,
        output=max(made, _count(usage, "total_tokens") - used),  # Gemini leaves reasoning out of completion_tokens
        cached=min(used, cached),
        reasoning=_count(usage, details[1], "reasoning_tokens"),
    )


def guess(endpoint: Endpoint, body: Mapping[str, Any], size: int) -> Tokens:
    """About how many tokens a request may use, before it is sent.

    Args:
        endpoint: what is asked.
        body: the request.
        size: its bytes.
    """
    made = 0
    if endpoint in (CHAT, RESPONSES, MESSAGES):
        names = ("max_completion_tokens", "max_output_tokens", "max_tokens")
        made = next((_count(body, name) for name in names if _count(body, name)), 4096) * max(1, _count(body, "n"))
    elif endpoint is COMPLETIONS:
        given = body.get("prompt")
        prompts = len(given) if isinstance(given, list) and any(isinstance(one, str | list) for one in given) else 1
        ways = max(1, _count(body, "n"), _count(body, "best_of"))
        made = (_count(body, "max_tokens") if "max_tokens" in body else 16) * ways * max(1, prompts)
    return Tokens(input=min(size // BYTES_A_TOKEN, MOST_GUESSED[0]), output=min(made, MOST_GUESSED[1]))


OWN_TOOLS = ("function", "custom", "local_shell", "apply_patch", "namespace")
OWN_MESSAGE_TOOLS = ("custom", "bash_", "text_editor_", "computer_", "memory_")
NEVER = ("background", "web_search_options", "mcp_servers", "plugins", "models", "route", "container", "prompt")


def hosted(endpoint: Endpoint, body: Mapping[str, Any]) -> str | None:
    """What in a request would have the provider act outside the model, in words that end a sentence; None: nothing.

    Tools that the provider runs itself (web search, code, files), addresses that it would fetch, and routes to other
    models would lead an agent around its closed network, its budget or its model.
    """
    for name in NEVER:
        if body.get(name) and not (name == "prompt" and endpoint is COMPLETIONS):  # elsewhere: one kept at the provider
            return f"{name!r} in a request"
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, dict) else None
        if endpoint is MESSAGES:
            if kind is not None and not str(kind).startswith(OWN_MESSAGE_TOOLS):
                return f"the tool {kind!r}"
        elif kind not in OWN_TOOLS:
            return f"the tool {kind!r}"
    return _fetches([body.get("messages"), body.get("input"), body.get("system")])


def _fetches(value: Any) -> str | None:
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo.extend(part for part in item if isinstance(part, list | dict))
        elif isinstance(item, dict):
            kind = item.get("type")
            if kind in ("image_url", "input_image", "input_file", "file", "image", "document", "url", "input_audio"):
                for name in ("image_url", "file_url", "url", "file_data"):
                    given = item.get(name)
                    address = given.get("url") if isinstance(given, dict) else given
                    if isinstance(address, str) and not address.startswith("data:") and "://" in address[:20]:
                        return f"{name!r} that the provider would fetch"
            todo.extend(part for part in item.values() if isinstance(part, list | dict))
    return None


def error_body(endpoint: Endpoint | None, kind: str, message: str) -> bytes:
    """An error as clients of the endpoint read it: OpenAI's shape, which Anthropic's is a part of."""
    error: dict[str, Any] = {"type": kind, "message": message}
    if endpoint is MESSAGES:
        return json.dumps({"type": "error", "error": error}).encode()
    return json.dumps({"error": {**error, "code": kind, "param": None}}).encode()
