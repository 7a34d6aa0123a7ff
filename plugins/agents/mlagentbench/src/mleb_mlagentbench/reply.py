"""The form of a reply: six headings, of which the last two name an action and its input."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["HEADINGS", "MalformedReply", "Reply", "parse"]

HEADINGS = ("Reflection", "Research Plan and Status", "Fact Check", "Thought", "Action", "Action Input")
HEADING = re.compile(
    r"^[ \t]*(?:#+[ \t]*)?\**[ \t]*(" + "|".join(sorted(HEADINGS, key=len, reverse=True)) + r")[ \t]*\**[ \t]*"
    r"(?::[ \t]*\**|$)",
    re.MULTILINE | re.IGNORECASE,
)
"""A heading as models write it: `Thought:`, `**Thought:**`, `## Thought`."""
NAMES = {heading.lower(): heading for heading in HEADINGS}
DECODER = json.JSONDecoder(strict=False)
"""Not strict: a text may hold line breaks as they are."""


class MalformedReply(Exception):
    """A reply lacks the form; the message says what is wrong, for the model."""


@dataclass(frozen=True)
class Reply:
    """A reply that was understood."""

    sections: Mapping[str, str]
    """Texts by heading, without the two of the action."""
    action: str
    """The action's name, as the model spells it."""
    given: Mapping[str, Any]
    """Its input."""

    def __str__(self) -> str:
        """As it is shown to the model again: what the model made up beyond its action is left out."""
        parts = [f"{heading}: {text}" for heading, text in self.sections.items()]
        return "\n".join(
            [*parts, f"Action: {self.action}", f"Action Input: {json.dumps(self.given, ensure_ascii=False)}"]
        )


def parse(text: str, *, lenient: bool = False) -> Reply:
    """Read a reply.

    Args:
        text: as the model wrote it.
        lenient: take one that has an action and its input, whatever else is missing.

    Raises:
        MalformedReply: a heading is missing, or the input is no JSON object.
    """
    found: dict[str, str] = {}
    marks = list(HEADING.finditer(text))
    for number, mark in enumerate(marks):
        name = NAMES[mark[1].lower()]
        if name in found:  # a second step that the model made up
            continue
        if name == "Action Input":
            found[name] = text[mark.end() :]  # all of it: what looks like a heading may stand in a file's content
            break
        end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        found[name] = text[mark.end() : end].strip()
    wanted = HEADINGS[-2:] if lenient else HEADINGS
    if missing := [heading for heading in wanted if heading not in found]:
        raise MalformedReply(f"no heading {', '.join(f'{heading!r}' for heading in missing)}")
    action, given = found.pop("Action").strip("*`'\"[] \t\n."), found.pop("Action Input")
    if not action:
        raise MalformedReply("nothing stands after 'Action:'")
    return Reply(found, action, _object(given))


def _object(text: str) -> dict[str, Any]:
    start = text.find("{")
    if start < 0:
        raise MalformedReply("the Action Input is no JSON object")
    try:
        value: dict[str, Any] = DECODER.raw_decode(text, start)[0]
    except (ValueError, RecursionError) as error:
        raise MalformedReply(f"the Action Input is no JSON object: {error}") from None
    return value
