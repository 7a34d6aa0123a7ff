"""Texts on competitions: the user's, or Kaggle's pages and notebooks; none ship.

FOLDER/<competition>/*.txt | *.md | *.html | *.ipynb       one passage a file; of a notebook its text cells
FOLDER/<competition>.txt | .md | .html | .ipynb            the same with one file
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mleb_core.errors import UsageError

__all__ = ["ENDINGS", "Passage", "passages_on", "pieces"]

ENDINGS = (".txt", ".md", ".html", ".ipynb")
LEAST_CHARACTERS = 100
"""A shorter text says nothing."""


@dataclass(frozen=True)
class Passage:
    """A text that a model may have seen."""

    name: str
    """Its file, below the folder."""
    text: str
    """What it says, without markup of HTML."""


def passages_on(folder: Path, competition: str) -> tuple[list[Passage], list[str]]:
    """The passages on a competition, and what could not be used, a line each.

    Args:
        folder: as above.
        competition: its id, without the edition.

    Raises:
        UsageError: there is no such folder, or it cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder; expected is one with a folder or a text for each competition")
    found: list[Passage] = []
    problems: list[str] = []
    try:
        paths = [folder / f"{competition}{ending}" for ending in ENDINGS]
        paths += sorted((folder / competition).rglob("*")) if (folder / competition).is_dir() else []
        for path in paths:
            if path.suffix.lower() in ENDINGS and path.is_file():
                name = path.relative_to(folder).as_posix()
                try:
                    text = _text(path)
                except ValueError as error:
                    problems.append(f"{name}: {error}")
                    continue
                if len(text) < LEAST_CHARACTERS:
                    problems.append(f"{name}: fewer than {LEAST_CHARACTERS} characters of text")
                else:
                    found.append(Passage(name, text))
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return found, problems


def _text(path: Path) -> str:
    content = path.read_bytes().decode("utf-8", "replace")
    if path.suffix.lower() == ".ipynb":
        try:
            content = "\n\n".join(_text_cells(json.loads(content)))
        except RecursionError:
            raise ValueError("it is broken: nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"it is broken: no JSON ({error})") from None
    if path.suffix.lower() == ".html" or re.search(r"</(?:p|h\d|div|li)>", content, re.IGNORECASE):
        reader = _Reader()
        reader.feed(content)
        reader.close()
        content = "".join(reader.parts)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t\r\f\v\xa0]+", " ", content).replace(" \n", "\n")).strip()


def _text_cells(value: Any) -> Iterator[str]:
    cells = value.get("cells") if isinstance(value, dict) else None
    for cell in cells if isinstance(cells, list) else ():
        if isinstance(cell, dict) and cell.get("cell_type") == "markdown":
            source = cell.get("source")
            text = "".join(part for part in source if isinstance(part, str)) if isinstance(source, list) else source
            if isinstance(text, str):
                yield text


class _Reader(HTMLParser):
    """Keeps what is read, not what is run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        if tag in ("br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6"):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in ("script", "style")))
        if tag in ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6"):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def pieces(text: str, characters: int) -> list[str]:
    """A text cut between words into pieces of at most so many characters; a longer word is cut."""
    found = []
    while len(text) > characters:
        cut = text.rfind(" ", characters // 2, characters + 1)
        cut = characters if cut < 0 else cut
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text] if text.strip() else found
