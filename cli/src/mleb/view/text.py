"""Texts of agents, made visible: nothing that steers a terminal, turns the direction of writing or hides."""

import json
import re
from typing import Any

__all__ = ["as_json", "for_page", "size", "terminal", "visible"]

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""Control, format, surrogate and line-breaking characters (Cc, Cf, Cs, Zl, Zp) but line feed and tab."""
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links
    r"|\x1b[ -/]*[0-~]"
)

_DEEPEST = 100


def visible(text: str) -> str:
    r"""The text with each hidden character as an escape such as `\u202e`; line feeds and tabs stay."""
    return _HIDDEN.sub(_escape, text) if _HIDDEN.search(text) else text


def terminal(text: str) -> str:
    """What a program printed for a terminal: without its escape sequences, a line for each state of a progress bar."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" in text:
        text = re.sub("\r+\n|\r+", "\n", text)
    return visible(text)


def for_page(value: Any, depth: int = 0) -> Any:
    """JSON-like data with all its texts made visible; numbers that JSON lacks become None.

    Args:
        value: the data.
        depth: of lists and objects around it; what is nested beyond all sense is left out.
    """
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict | list | tuple) and depth >= _DEEPEST:
        return "(nested too deeply to be shown)"
    if isinstance(value, dict):
        return {visible(str(key)): for_page(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [for_page(item, depth + 1) for item in value]
    if isinstance(value, float) and not -1e308 < value < 1e308:
        return None
    return value


def as_json(value: Any) -> str:
    """JSON in ASCII that can stand in a page's script element: without < > &."""
    text = json.dumps(for_page(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
