"""The code in files: scripts, notebooks, journals of agents.

What cannot be read is a note, never a failure: notebooks are often broken, and agents write what they like.
"""

import bisect
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["LANGUAGES", "Source", "Unreadable", "code_in_json", "files_below", "read_code"]

LANGUAGES = {
    ".c": "c",
    ".cpp": "cpp",
    ".java": "java",
    ".jl": "julia",
    ".py": "python",
    ".r": "r",
    ".scala": "scala",
    ".sh": "bash",
    ".sql": "sql",
}
"""What pygments calls the language of a file, by the end of its name in lower case; notebooks and .rmd besides."""
MOST_CODE = 4_000_000
MOST_BYTES = 100_000_000
MOST_FILES = 50_000
MOST_NAME = 500
"""Characters of the path of a program in a JSON document."""
NOT_ITS_OWN = frozenset({".git", ".ipynb_checkpoints", ".venv", "__pycache__", "node_modules", "site-packages", "venv"})
CODE_KEYS = frozenset({"code", "file_text", "new_str", "source_code"})
"""Where journals keep programs: AIDE's nodes, tool calls of editors and interpreters."""


class Unreadable(Exception):
    """A file holds no code that could be read; the message says why, in words that end a sentence."""


@dataclass(frozen=True)
class Source:
    """Code, as one piece."""

    name: str
    """For people: the file below its folder, and where in it."""
    text: str
    """The code; of a notebook, its code cells one below the other. Lines end with line feeds."""
    language: str = "python"
    """As in `LANGUAGES`."""
    cells: tuple[int, ...] = ()
    """Of a notebook: the line at which each code cell begins, from 1."""

    def place(self, line: int) -> str:
        """A line in words: "line 12", or "code cell 3, line 2"."""
        if not self.cells:
            return f"line {line}"
        number = max(1, bisect.bisect_right(self.cells, line))
        return f"code cell {number}, line {line - self.cells[number - 1] + 1}"


def files_below(folder: Path) -> Iterator[Path]:
    """The regular files below a folder by path, without what packages and tools keep there; no link is followed.

    More than `MOST_FILES` + 1 are never given: that many are too many.

    Raises:
        OSError: a folder cannot be read.
    """
    folders, count = [folder], 0
    while folders:
        here = folders.pop()
        with os.scandir(here) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        folders.extend(
            Path(entry.path)
            for entry in reversed(found)
            if entry.is_dir(follow_symlinks=False) and entry.name not in NOT_ITS_OWN
        )
        for entry in found:
            if entry.is_file(follow_symlinks=False):
                count += 1
                yield Path(entry.path)
                if count > MOST_FILES:
                    return


def read_code(path: Path, name: str) -> list[Source]:
    """The code in a file; nothing where it is of no kind that holds code.

    Args:
        path: a script, notebook or JSON journal.
        name: of the sources.

    Raises:
        Unreadable: it is of such a kind, and broken or too large.
    """
    ending = path.suffix.lower()
    if ending not in LANGUAGES and ending not in (".ipynb", ".json", ".rmd"):
        return []
    try:
        content = _read(path)
    except OSError as error:
        raise Unreadable(f"it cannot be read: {error.strerror}") from None
    if ending == ".ipynb":
        return [_notebook(_json(content), name)]
    if ending == ".json":
        return _journal(content, name)
    text = _text(content)
    if ending == ".rmd":
        chunks = re.findall(r"^```\s*\{[rR]\b[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        return [_source(name, "\n".join(chunks), "r")]
    return [_source(name, text, LANGUAGES[ending])]


def code_in_json(value: Any, name: str) -> Iterator[Source]:
    """Programs of at least three lines that stand in JSON under the keys by which journals know them.

    Args:
        value: of any depth that JSON's reader bears.
        name: of the document; each source gets its path in it.
    """
    # One step at a time, with paths of bounded length: a small file could ask for any amount of memory otherwise.
    open_parts: list[Iterator[tuple[str, str, Any]]] = [iter([("", "", value)])]
    while open_parts:
        step = next(open_parts[-1], None)
        if step is None:
            open_parts.pop()
            continue
        where, key, item = step
        if isinstance(item, dict | list):
            open_parts.append(_inner(where, key, item))
        elif isinstance(item, str) and key in CODE_KEYS and item.count("\n") >= 2 and len(item) <= MOST_CODE:
            yield Source(f"{name}: {where.strip('.')}", _lines(item))


def _inner(where: str, key: str, item: "dict[str, Any] | list[Any]") -> Iterator[tuple[str, str, Any]]:
    if isinstance(item, dict):
        for inner, part in item.items():
            yield f"{where}.{inner[:MOST_NAME]}"[:MOST_NAME], inner, part
    else:
        for index, part in enumerate(item):
            yield f"{where}[{index}]"[:MOST_NAME], key, part


def _notebook(value: Any, name: str) -> Source:
    """A notebook of format 3 or 4."""
    if not isinstance(value, dict):
        raise Unreadable("it is no notebook")
    sheets = value.get("worksheets")
    cells = value.get("cells")
    if not isinstance(cells, list) and isinstance(sheets, list):
        within = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
        cells = [cell for part in within if isinstance(part, list) for cell in part]
    if not isinstance(cells, list):
        raise Unreadable("it is no notebook: it has no cells")
    texts = []
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            text = cell.get("source", cell.get("input", ""))
            if isinstance(text, list):
                text = "".join(part for part in text if isinstance(part, str))
            if isinstance(text, str):
                texts.append(_lines(text))
    starts, line = [], 1
    for text in texts:
        starts.append(line)
        line += text.count("\n") + 1
    return _source(name, "\n".join(texts), _language(value.get("metadata")), tuple(starts))


def _language(metadata: Any) -> str:
    found: Any = None
    for outer, inner in (("language_info", "name"), ("kernelspec", "language")):
        part = metadata.get(outer) if isinstance(metadata, dict) else None
        found = found or (part.get(inner) if isinstance(part, dict) else None)
    return found.lower() if isinstance(found, str) and found.lower() in LANGUAGES.values() else "python"


def _journal(content: bytes, name: str) -> list[Source]:
    if not any(b'"%s"' % key.encode() in content for key in CODE_KEYS):
        return []
    return list(code_in_json(_json(content), name))


def _source(name: str, text: str, language: str, cells: tuple[int, ...] = ()) -> Source:
    if len(text) > MOST_CODE:
        raise Unreadable(f"it has {len(text):,} characters of code, more than {MOST_CODE:,}")
    return Source(name, text, language, cells)


def _read(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as stream:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable("it is no regular file")
        if facts.st_size > MOST_BYTES:
            raise Unreadable(f"it is larger than {MOST_BYTES:,} bytes")
        return stream.read()


def _json(content: bytes) -> Any:
    try:
        return json.loads(_text(content))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else f"no JSON ({error})"
        raise Unreadable(f"it is broken: {reason}") from None


def _text(content: bytes) -> str:
    return _lines(content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"))


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
