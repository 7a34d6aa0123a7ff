"""Four solutions of one task by different hands, and ways to hide that one is copied."""

import ast
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mleb_core.layout import RunLayout

SOLUTIONS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "solutions").glob("*.py"))}


class Renamed(ast.NodeTransformer):
    """Gives every name that the author may choose another one, imports included."""

    def __init__(self, tree: ast.Module) -> None:
        self.names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self.add(node.name)
            elif isinstance(node, ast.arg):
                self.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.add(node.id)
            elif isinstance(node, ast.alias):
                self.add(node.asname or node.name)

    def add(self, name: str) -> None:
        if not name.startswith("__"):
            self.names.setdefault(name, f"thing_{len(self.names)}")

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self.names[node.arg])

    def visit_alias(self, node: ast.alias) -> ast.alias:
        return ast.alias(node.name, self.names[node.asname or node.name])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.name = self.names[node.name]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(node.value + "x") if isinstance(node.value, str) else node


def renamed(text: str) -> str:
    """Other names, other texts, other formatting, no comments."""
    tree = ast.parse(text)
    return ast.unparse(ast.fix_missing_locations(Renamed(tree).visit(tree)))


def reformatted(text: str) -> str:
    """The same program with lines broken in every bracket, deeper indentation, comments and blank lines."""
    lines = []
    for line in ast.unparse(ast.parse(text)).split("\n"):
        body = line.lstrip(" ")
        indent = " " * 2 * (len(line) - len(body))
        if not {"'", '"'} & set(body):
            body = in_many_lines(body, f"\n{indent}      ")
        lines += [f"{indent}# what comes next", indent + body, ""]
    found = "\n".join(lines)
    assert ast.dump(ast.parse(found)) == ast.dump(ast.parse(ast.unparse(ast.parse(text))))
    return found


def in_many_lines(statement: str, between: str) -> str:
    """A statement without texts, with a line break after each comma and opening bracket that allows it."""
    depth, found = 0, ""
    for sign in statement:
        depth += (sign in "([{") - (sign in ")]}")
        found += sign + (between if depth and sign in "([{," else "")
    return found


def reordered(text: str) -> str:
    """Its top-level statements, shuffled in blocks of two; imports stay first."""
    body = ast.parse(text).body
    head = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in body if node not in head]
    blocks = [rest[start : start + 2] for start in range(0, len(rest), 2)]
    random.Random(1).shuffle(blocks)
    return ast.unparse(ast.Module([*head, *(node for block in blocks for node in block)], []))


def notebook(text: str, cells: int = 4, **metadata: object) -> str:
    """A notebook whose code cells hold a program, with magics, text cells and an output between."""
    lines = text.split("\n")
    step = -(-len(lines) // cells)
    made: list[dict[str, object]] = []
    for start in range(0, len(lines), step):
        made.append({"cell_type": "markdown", "source": ["# A part\n", "of it"]})
        source = ["%matplotlib inline\n", "!ls ../input\n", *(line + "\n" for line in lines[start : start + step])]
        made.append({"cell_type": "code", "source": source, "outputs": [{"data": {"text/plain": ["x = 1"]}}]})
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own."""
    monkeypatch.setenv("MLEB_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def solutions() -> dict[str, str]:
    return dict(SOLUTIONS)


@pytest.fixture
def ways() -> dict[str, Callable[[str], str]]:
    """What hides a copy."""
    return {"renamed": renamed, "reformatted": reformatted, "reordered": reordered, "notebook": notebook}


@pytest.fixture
def references(tmp_path: Path) -> Path:
    """A corpus of the four solutions, one of them a notebook."""
    folder = tmp_path / "references"
    folder.mkdir()
    for name, text in SOLUTIONS.items():
        if name == "boosting":
            (folder / f"{name}.ipynb").write_text(notebook(text))
        else:
            (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    """A run that has kept nothing yet."""
    run = RunLayout(tmp_path / "runs" / "group" / "titanic" / "agent" / "0")
    run.code.mkdir(parents=True)
    run.logs.mkdir()
    return run
