"""Predictions that stand in code: tables of test ids, and lists as long as the test set."""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mleb_core.run_code.sources import Source
from mleb_rules.signs import Evidence, Sign

__all__ = ["SampleIds", "ids_of_sample", "in_code"]

LEAST_IDS = 10
LEAST_ROWS = 25
"""A list of fewer constants says nothing by its length."""
MOST_IDS = 2_000_000
MOST_SOURCE = 2_000_000
SHARE_OF_NUMBERS = 0.5
"""Share of the test ids that must stand there where ids are plain numbers, which also name classes, folds and so on."""
_CELL = re.compile(r"""^[\s"'(\[{]*+([^,"'\t;:]++)["']?\s*[,\t;:]\s*\S""")


@dataclass(frozen=True)
class SampleIds:
    """The ids of the rows that are predicted."""

    ids: frozenset[str]
    """The first column of the sample submission."""
    rows: int
    """How many rows it has."""

    @property
    def least(self) -> int:
        """How many of them in code are more than chance."""
        numbers = all(id.lstrip("-").isdigit() for id in list(self.ids)[:1000])
        return max(LEAST_IDS, int(SHARE_OF_NUMBERS * len(self.ids)) if numbers else 0)


def ids_of_sample(sample: Path) -> SampleIds | None:
    """The ids in a sample submission; None where it is no table.

    Raises:
        OSError: it cannot be read.
    """
    import csv

    try:
        with sample.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.reader(stream)
            next(rows, None)
            ids = []
            for row in rows:
                if row:
                    ids.append(row[0].strip())
                if len(ids) > MOST_IDS:
                    break
    except (UnicodeDecodeError, csv.Error):
        return None
    return SampleIds(frozenset(ids), len(ids)) if ids else None


def in_code(sources: Iterable[Source], test: SampleIds) -> list[Sign]:
    """Signs of predictions as literals.

    A source is a sign where test ids are keys of a dictionary, first of the tuples of a list, or first of the cells of
    lines (in texts, in shell scripts), many of them; or where a list has as many constants as there are test rows.
    """
    found = []
    for source in sources:
        if len(source.text) > MOST_SOURCE:
            continue
        ids: dict[str, int] = {}
        lists: list[tuple[int, int]] = []
        for kind, value, line in _literals(source):
            if kind == "id" and value in test.ids:
                ids.setdefault(value, line)
            elif kind == "list" and int(value) == test.rows >= LEAST_ROWS:
                lists.append((int(value), line))
        if len(ids) >= test.least:
            shown = tuple(_evidence(source, line) for line in list(dict.fromkeys(ids.values()))[:5])
            message = f"{len(ids):,} of {len(test.ids):,} test ids stand in {source.name} beside values"
            found.append(Sign("handwritten-predictions", "warning", message, shown))
        for length, line in lists[:3]:
            message = f"{source.name} holds a list of {length:,} constants, as many as there are test rows"
            found.append(Sign("handwritten-predictions", "warning", message, (_evidence(source, line),)))
    return found


def _evidence(source: Source, line: int) -> Evidence:
    lines = source.text.split("\n")
    return Evidence(source.name, source.place(line), lines[line - 1].strip()[:300] if line <= len(lines) else "")


def _literals(source: Source) -> Iterator[tuple[str, str, int]]:
    """("id", text, line) for what may be an id beside a value; ("list", length, line) for lists of constants."""
    tree = _parsed(source) if source.language == "python" else None
    if tree is None:
        yield from _cells(source.text, 1)
        return
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and _constant(value):
                    yield "id", _spelt(key), key.lineno
        elif isinstance(node, ast.List | ast.Tuple | ast.Set):
            if node.elts and all(map(_constant, node.elts)):
                yield "list", str(len(node.elts)), node.lineno
            for pair in node.elts:
                if isinstance(pair, ast.List | ast.Tuple) and len(pair.elts) >= 2:
                    first, *rest = pair.elts
                    if isinstance(first, ast.Constant) and all(map(_constant, rest)):
                        yield "id", _spelt(first), first.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count("\n") >= 3:
            yield from _cells(node.value, node.lineno)
        todo.extend(ast.iter_child_nodes(node))


def _spelt(node: ast.Constant) -> str:
    """A constant as text; none for a number of so many digits that Python refuses to write it."""
    try:
        return str(node.value)
    except ValueError:
        return ""


def _constant(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.List | ast.Tuple):
        return 0 < len(node.elts) <= 32 and all(map(_constant, node.elts))
    return isinstance(node, ast.Constant)


def _cells(text: str, first: int) -> Iterator[tuple[str, str, int]]:
    for number, line in enumerate(text.split("\n"), first):
        if len(line) < 10_000 and (match := _CELL.match(line)):
            yield "id", match[1].strip(), number


def _parsed(source: Source) -> ast.Module | None:
    text = re.sub(r"^[ \t]*[%!].*", "", source.text, flags=re.MULTILINE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in an agent's code are its own affair
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
