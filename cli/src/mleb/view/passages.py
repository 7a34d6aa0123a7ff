"""A part of a file of any size, as text: read by byte range, never whole."""

import os
from dataclasses import dataclass
from pathlib import Path

from mleb.view.files import inner, open_file
from mleb.view.text import terminal

__all__ = ["MOST", "Passage", "find", "passage"]

MOST = 256 << 10
"""Bytes that are given at once."""
_STEP = 1 << 20
_MOST_SEARCHED = 512 << 20


@dataclass(frozen=True)
class Passage:
    """Some lines of a file."""

    start: int
    """First byte."""
    end: int
    """Byte after the last."""
    size: int
    """Bytes of the whole file at that time."""
    text: str
    """The lines, made visible."""


def passage(
    base: Path, path: Path, *, start: int | None = None, end: int | None = None, length: int = MOST, align: bool = False
) -> Passage:
    """A part of a file; parts that follow one another, each from where the last one ended, are the whole.

    They break at line ends; in a line that is longer than `length`, between characters.

    Args:
        base: the way to it is trusted.
        path: the file.
        start: from this byte on.
        end: or else up to this byte; None for both: up to the end of the file.
        length: bytes at most.
        align: `start` is any byte: begin with the next line.

    Raises:
        FileProblem: it cannot be read.
    """
    fd = open_file(base, inner(base, path))
    with os.fdopen(fd, "rb", buffering=0):
        size = os.fstat(fd).st_size
        length = max(4, min(length, MOST))
        forward = start is not None
        if start is not None:
            start = max(0, min(start, size))
            end = min(size, start + length)
        else:
            end = size if end is None else max(0, min(end, size))
            start = max(0, end - length)
        content = os.pread(fd, end - start, start)
        end = start + len(content)
        if start > 0 and content and (align or not forward) and os.pread(fd, 1, start - 1) != b"\n":
            cut = content.find(b"\n") + 1
            cut = cut if 0 < cut < len(content) else _boundary(content)
            start, content = start + cut, content[cut:]
        if forward and end < size and content:
            cut = content.rfind(b"\n") + 1
            cut = cut or len(content) - _torn(content) or len(content)
            end, content = start + cut, content[:cut]
    return Passage(start, end, size, terminal(content.decode("utf-8", "replace")))


def find(base: Path, path: Path, words: str, start: int) -> int | None:
    """Where a text next stands in a file, upper and lower case of ASCII letters being the same.

    Returns:
        The byte; None: not from `start` on, within the part that is searched.

    Raises:
        FileProblem: it cannot be read.
    """
    wanted = words.encode("utf-8", "replace").lower()
    fd = open_file(base, inner(base, path))
    with os.fdopen(fd, "rb", buffering=0) as stream:
        at, searched = max(0, start), 0
        while wanted and searched < _MOST_SEARCHED:
            content = os.pread(stream.fileno(), _STEP + len(wanted), at)
            found = content.lower().find(wanted)
            if found >= 0:
                return at + found
            if len(content) <= _STEP:
                return None
            at, searched = at + _STEP, searched + _STEP
    return None


def _boundary(content: bytes) -> int:
    """Bytes of a character that began before."""
    count = 0
    while count < min(3, len(content)) and content[count] & 0xC0 == 0x80:
        count += 1
    return count


def _torn(content: bytes) -> int:
    """Bytes of a character that goes on after."""
    for count in range(1, min(4, len(content)) + 1):
        byte = content[-count]
        if byte & 0xC0 != 0x80:
            long = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return count if long > count else 0
    return 0
