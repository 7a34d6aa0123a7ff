"""Comparing the code of 225 runs with 10,000 notebooks. Aim: minutes for the index, which is kept, and for the rest.

The notebooks are made of functions of the standard library and of scikit-learn: each is some 400 lines from several
modules. A tenth are forks of another. Each run has ten scripts; every ninth run has a renamed copy of a notebook.

usage: bench/plagiarism.py [RUNS NOTEBOOKS]
"""

import ast
import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import sklearn
from common import table

from mleb_core.layout import RunLayout
from mleb_plagiarism.compare import THRESHOLD, compare_run
from mleb_plagiarism.corpus import index_path, open_corpus

LINES = 400
SCRIPTS = 10


def main() -> None:
    """Print the table."""
    runs, notebooks = map(int, sys.argv[1:3] or (225, 10_000))
    draw = random.Random(0)
    pieces = functions()
    with tempfile.TemporaryDirectory() as root:
        os.environ["MLEB_CACHE_DIR"] = str(Path(root, "cache"))
        references = Path(root, "references")
        references.mkdir()
        texts: list[str] = []
        for number in range(notebooks):
            text = draw.choice(texts) + f"\nprint({number})" if texts and number % 10 == 0 else program(draw, pieces)
            texts.append(text)
            cell = {"cell_type": "code", "source": text, "outputs": [], "metadata": {}}
            (references / f"{number}.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}}))
        layouts = [run(Path(root, "runs", str(number)), number, draw, pieces, texts) for number in range(runs)]

        start = time.perf_counter()
        corpus = open_corpus(references)
        made = time.perf_counter() - start
        start = time.perf_counter()
        corpus = open_corpus(references)
        opened = time.perf_counter() - start
        start = time.perf_counter()
        found = [compare_run(layout, corpus) for layout in layouts]
        compared = time.perf_counter() - start
        flagged = {number for number, one in enumerate(found) if any(m.flagged(THRESHOLD) for m in one.matches)}
        size = index_path(references).stat().st_size
    assert flagged >= set(range(0, runs, 9)), flagged  # others share a long class with a notebook: copied, too
    lines = sum(text.count("\n") for text in texts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = [
        (f"index of {notebooks:,} notebooks, {lines / 1e6:.1f} million lines, made", f"{made:.1f} s"),
        (f"the same, opened again ({size / 1e6:.0f} MB on disk)", f"{opened:.1f} s"),
        (f"{runs} runs of {SCRIPTS} scripts compared, {len(flagged)} shown as copies", f"{compared:.1f} s"),
        ("memory at most", f"{peak:.0f} MB"),
    ]
    table("Plagiarism", ("what", "measured"), rows)


def functions() -> list[str]:
    """Functions and classes of installed packages, as they stand there."""
    found = []
    for folder in (Path(os.__file__).parent, Path(sklearn.__file__).parent):
        for path in sorted(folder.rglob("*.py")):
            if "test" in path.as_posix().removeprefix(str(folder)) or "site-packages" in path.relative_to(folder).parts:
                continue
            try:
                text = path.read_text()
                tree = ast.parse(text)
            except (SyntaxError, UnicodeDecodeError):
                continue
            lines = text.split("\n")
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and 5 < node.end_lineno - node.lineno < 120:
                    found.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return found


def program(draw: random.Random, pieces: list[str]) -> str:
    """Functions and lines of one's own, about LINES lines."""
    parts: list[str] = []
    while sum(part.count("\n") for part in parts) < LINES:
        names = [f"x{draw.randrange(10**6)}" for _ in range(9)]
        own = "\n".join(f"df['{a}'] = {a}.do_{b}(n={len(a)}, {b}=df.{b}[1])" for a in names[:3] for b in names[3:])
        parts += [draw.choice(pieces), own]
    return "\n\n".join(parts)


def run(root: Path, number: int, draw: random.Random, pieces: list[str], texts: list[str]) -> RunLayout:
    """A run's directory."""
    layout = RunLayout(root)
    layout.code.mkdir(parents=True)
    for script in range(SCRIPTS):
        (layout.code / f"{script}.py").write_text(program(draw, pieces))
    if number % 9 == 0:
        copy = draw.choice(texts).replace("df[", "frame[").replace("self", "me").replace("    ", "\t")
        (layout.code / "solution.py").write_text(copy)
    return layout


if __name__ == "__main__":
    main()
