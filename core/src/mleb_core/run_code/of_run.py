"""The code of a run: what it kept in code/ and logs/, and what its model wrote, by its transcript."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mleb_core.layout import RunLayout
from mleb_core.run import utf8
from mleb_core.run_code.sources import MOST_FILES, Source, Unreadable, code_in_json, files_below, read_code

__all__ = ["code_of_run", "file_and_line"]

MOST_IN_ALL = 200_000_000
"""Characters of code of one run."""
_FENCE = re.compile(r"^[ \t]*+```[ \t]*+([A-Za-z0-9_+-]*+)[^\n]*+\n(.*?)(?:^[ \t]*+```|\Z)", re.MULTILINE | re.DOTALL)
_IN_TRANSCRIPT = re.compile(r"(transcript\.jsonl) line (\d+)\b")
_IN_JSON = re.compile(r"(.*\.json): ", re.IGNORECASE)
_LINE = re.compile(r"line ([1-9]\d*)")
_FENCED = {"": "python", "py": "python", "python": "python", "python3": "python", "ipython": "python"} | {
    name: name for name in ("r", "julia", "bash", "sql")
}


def code_of_run(layout: RunLayout) -> tuple[list[Source], list[str]]:
    """All code of a run, and what could not be read, a line each.

    Sources are scripts, notebooks and journals below code/ and logs/, and from transcript.jsonl the fenced blocks and
    the programs in tool calls that the model replied with. What is there several times is there once, under its first
    name. Of a run with more than `MOST_IN_ALL` characters of code the rest is left out, with a note.
    """
    notes: list[str] = []
    sources: dict[tuple[str, str], Source] = {}
    room = MOST_IN_ALL
    for source in _all_sources(layout, notes):
        text = utf8(source.text)
        key = (source.language, text.strip())
        if not key[1] or key in sources:
            continue
        room -= len(text)
        if room < 0:
            notes.append(f"{utf8(source.name)} and what comes behind: only {MOST_IN_ALL:,} characters of code are read")
            break
        sources[key] = replace(source, name=utf8(source.name), text=text)
    return list(sources.values()), [utf8(note) for note in notes]


def _all_sources(layout: RunLayout, notes: list[str]) -> Iterator[Source]:
    for folder in (layout.code, layout.logs):
        if not folder.is_dir():
            continue
        try:
            paths = list(files_below(folder))
        except OSError as error:
            notes.append(f"{folder.name}/ cannot be read: {error.strerror}")
            continue
        if len(paths) > MOST_FILES:
            notes.append(f"{folder.name}/ holds more than {MOST_FILES:,} files; the others are not read")
        for path in paths:
            name = path.relative_to(layout.root).as_posix()
            try:
                yield from read_code(path, name)
            except Unreadable as error:
                notes.append(f"{name}: {error}")
    try:
        yield from _snippets(layout, notes)
    except OSError as error:
        notes.append(f"{layout.transcript.name} cannot be read: {error.strerror}")


def file_and_line(name: str, place: str = "") -> tuple[str, int | None]:
    """The file of the run that holds a source, and the line in it where that can be told.

    Args:
        name: of the source.
        place: a line of the source in words, as `Source.place` gives it.
    """
    if within := _IN_TRANSCRIPT.match(name):
        return within[1], int(within[2])
    if within := _IN_JSON.match(name):
        return within[1], None
    line = _LINE.fullmatch(place)
    return name, int(line[1]) if line else None


def _snippets(layout: RunLayout, notes: list[str]) -> Iterator[Source]:
    if not layout.transcript.is_file():
        return
    broken = 0
    with layout.transcript.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                exchange = json.loads(line)
                reply = exchange["reply"]
            except (ValueError, KeyError, TypeError, RecursionError):
                broken += 1
                continue
            yield from _in_reply(reply, f"{layout.transcript.name} line {number}")
    if broken:
        notes.append(f"{layout.transcript.name}: {broken} lines are no exchanges")


def _in_reply(reply: Any, name: str) -> Iterator[Source]:
    """Fenced blocks of at least three lines in any text, programs in tool calls (JSON in a text, or an object)."""
    todo, count = [reply], 0
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo.extend(reversed(item))
        elif isinstance(item, dict):
            for key, value in reversed(item.items()):
                part = _arguments(value) if key == "arguments" and isinstance(value, str) else value
                if key in ("arguments", "input") and isinstance(part, dict):
                    yield from code_in_json(part, name)
                else:
                    todo.append(part)
        elif isinstance(item, str) and "```" in item:
            for word, text in _FENCE.findall(item):
                if text.count("\n") >= 3 and (language := _FENCED.get(word.lower())):
                    count += 1
                    yield Source(f"{name}, block {count}", text.replace("\r", ""), language)


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
