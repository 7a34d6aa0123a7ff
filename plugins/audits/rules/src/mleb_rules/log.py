"""The log of a run as lines with places, cut into overlapping parts.

It holds, in this order: agent.log, the conversation by transcript.jsonl (each message once), the run's own code files.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

from mleb_core.layout import RunLayout
from mleb_core.run_code.of_run import code_of_run

__all__ = ["Line", "Log", "Part", "parts_of", "read_log"]

LONGEST_LINE = 2000
"""Characters of a line that are read; what is behind is cut, with a sign."""
MOST_BYTES = 200_000_000
MOST_LINES = 2_000_000
"""Lines that are read of a run: each takes 300 bytes, be it empty."""
LONGEST_KEY = 100
MOST_READ = 1_000_000
"""Characters of either end of a line that are looked through."""
_BLANK = re.compile(r"\s+")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")


@dataclass(frozen=True)
class Line:
    """A line and where it stands."""

    file: str
    """Below the run's directory."""
    place: str
    """"line 12", "exchange 3, assistant"."""
    text: str
    """Without control characters; blanks at its end are gone."""


@dataclass(frozen=True)
class Log:
    """All of it."""

    lines: tuple[Line, ...]
    """In order."""
    notes: tuple[str, ...]
    """What could not be read, a line each."""


@dataclass(frozen=True)
class Part:
    """Consecutive lines of a log."""

    number: int
    """From 1."""
    first: int
    """Index of its first line."""
    lines: tuple[Line, ...]
    """The lines."""

    @property
    def text(self) -> str:
        """As a judge reads it: lines below a head where the file or place changes."""
        rows, before = [], ""
        for line in self.lines:
            head = line.file if line.place.startswith("line ") else f"{line.file}, {line.place}"
            if head != before:
                rows.append(f"=== {head} ===")
                before = head
            rows.append(line.text)
        return "\n".join(rows)

    def find(self, quote: str, *, least: int = 12) -> list[Line]:
        """The lines that a quote stands in; none where it is not in this part.

        Blanks and line breaks count as one blank; letters count as they are. A quote of fewer than `least` characters
        must be a whole line.

        Args:
            quote: what is said to stand there.
            least: characters.
        """
        wanted = _plain(quote)
        texts = [_plain(line.text) for line in self.lines]
        if not wanted:
            return []
        if len(wanted) < least:
            return [line for line, text in zip(self.lines, texts, strict=True) if text == wanted][:1]
        starts = [0, *accumulate(len(text) + 1 for text in texts if text)]
        kept = [line for line, text in zip(self.lines, texts, strict=True) if text]
        at = " ".join(text for text in texts if text).find(wanted)
        if at < 0:
            return []
        return [
            line
            for line, start, end in zip(kept, starts, starts[1:], strict=False)
            if start < at + len(wanted) and end - 1 > at
        ]


def _plain(text: str) -> str:
    return _BLANK.sub(" ", text).strip()


def read_log(layout: RunLayout) -> Log:
    """The log of a run; what is not there is left out."""
    notes: list[str] = []
    lines = list(islice(_all_lines(layout, notes), MOST_LINES + 1))
    if len(lines) > MOST_LINES:
        last = lines.pop()
        notes.append(f"only {MOST_LINES:,} lines were read, up to {last.file}, {last.place}")
    return Log(tuple(lines), tuple(dict.fromkeys(notes)))


def _all_lines(layout: RunLayout, notes: list[str]) -> Iterator[Line]:
    try:
        if layout.log.is_file():
            with layout.log.open("rb") as stream:
                content = stream.read(MOST_BYTES)
                if stream.read(1):
                    notes.append(f"{layout.log.name}: only its first {MOST_BYTES:,} bytes were read")
            yield from _numbered(layout.log.name, content.decode("utf-8", "replace"))
        yield from _conversation(layout, notes)
    except OSError as error:
        notes.append(f"{error.filename or layout.root} cannot be read: {error.strerror}")
    sources, unread = code_of_run(layout)
    notes += unread
    for source in sources:
        if not source.name.startswith(layout.transcript.name):
            for number, line in enumerate(_numbered(source.name, source.text), 1):
                yield Line(source.name, source.place(number), line.text)


def _numbered(file: str, text: str) -> Iterator[Line]:
    # Read one by one: a list of them would take many times the text's own memory.
    start, number = 0, 0
    while start >= 0:
        end = text.find("\n", start)
        number += 1
        yield Line(file, f"line {number}", _clean(text[start:end] if end >= 0 else text[start:]))
        start = end + 1 or -1


def _clean(line: str) -> str:
    size = len(line)
    if size > 2 * MOST_READ:  # what is in between would cost many times its size
        line = f"{line[:MOST_READ]} [... {size - 2 * MOST_READ} more] {line[-MOST_READ:]}"
    line = _ESCAPES.sub("", line).rstrip("\r")
    line = line.rpartition("\r")[2]  # of a progress bar its last state
    line = "".join(sign if sign.isprintable() or sign == "\t" else " " for sign in line).rstrip()
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} [... {len(line) - LONGEST_LINE} more]"


def _conversation(layout: RunLayout, notes: list[str]) -> Iterator[Line]:
    """Each message of the transcript once: requests repeat what was said before."""
    if not layout.transcript.is_file():
        return
    seen: set[tuple[str, str]] = set()
    broken = read = 0
    with layout.transcript.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            read += len(line)
            if read > MOST_BYTES:
                notes.append(f"{layout.transcript.name}: only its first {number - 1} lines were read")
                break
            try:
                exchange = json.loads(line)
                request, reply = exchange["request"], exchange["reply"]
            except (ValueError, KeyError, TypeError, RecursionError):
                broken += 1
                continue
            for role, text in [*_asked(request), *_replied(reply)]:
                if text.strip() and (role, text) not in seen:
                    seen.add((role, text))
                    place = f"exchange {number}, {role}"
                    for row in text.split("\n"):
                        yield Line(layout.transcript.name, place, _clean(row))
    if broken:
        notes.append(f"{layout.transcript.name}: {broken} lines are no exchanges")


def _asked(request: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(request, dict):
        return
    for name in ("system", "instructions", "prompt"):
        if isinstance(request.get(name), str | list):
            yield "system", _text(request[name])
    for name in ("messages", "input"):
        items = request.get(name)
        for item in items if isinstance(items, list) else [items] if isinstance(items, str) else ():
            role = str(item.get("role") or item.get("type") or "user") if isinstance(item, dict) else "user"
            yield _clean(role[:40]), _text(item)


def _replied(reply: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(reply, dict):
        return
    choices = reply.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield "assistant", _text(choice.get("message", choice.get("text")))
    for name in ("content", "output"):
        if isinstance(reply.get(name), list):
            yield "assistant", _text(reply[name])


def _text(value: Any) -> str:
    """All that is said in a message, tool calls and results included, with the JSON of arguments written out."""
    parts: list[str] = []
    todo: list[tuple[str, Any]] = [("", value)]
    while todo:
        key, item = todo.pop()
        if isinstance(item, str):
            if key in (
                "",
                "text",
                "content",
                "refusal",
                "thinking",
                "reasoning",
                "reasoning_content",
                "name",
                "output",
            ):
                parts.append(item)
            elif key == "arguments":
                try:
                    todo.append(("input", json.loads(item)))
                except (ValueError, RecursionError):
                    parts.append(item)
            elif key.startswith("input."):
                parts.append(f"{key.removeprefix('input.')}: {item}")
        elif isinstance(item, dict):
            inside = "input." if key == "input" or key.startswith("input.") else ""
            todo.extend((f"{inside}{name[:LONGEST_KEY]}", part) for name, part in reversed(item.items()))
        elif isinstance(item, list):
            todo.extend((key, part) for part in reversed(item))
    return "\n".join(parts)


def parts_of(log: Log, *, characters: int = 40_000, overlap: int = 4_000) -> list[Part]:
    """A log cut into parts of whole lines, each of which begins with the last lines of the one before.

    Args:
        log: to be cut.
        characters: of a part at most, but for one line that is longer by itself.
        overlap: characters of the part before; less than `characters`.
    """
    sizes = [len(line.text) + 1 for line in log.lines]
    found: list[Part] = []
    first, count = 0, len(sizes)
    while first < count:
        last, size = first, 0
        while last < count and (size + sizes[last] <= characters or last == first):
            size += sizes[last]
            last += 1
        found.append(Part(len(found) + 1, first, log.lines[first:last]))
        if last == count:
            break
        back, again, room = last, 0, min(overlap, characters - sizes[last])  # the next line must fit in, too
        while back - 1 > first and again + sizes[back - 1] <= room:
            back -= 1
            again += sizes[back]
        first = back
    return found
