"""The documents say what the code does."""

import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from mleb.app import build
from mleb_core import hookspecs

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "docs/*.md", "docs/studies/*.md")
    for path in REPOSITORY.glob(pattern)
]
DOCUMENTS.sort()
HOOKS = [name for name, item in vars(hookspecs).items() if name.startswith("mleb_") and inspect.isfunction(item)]


def read(document):
    return (REPOSITORY / document).read_text()


def toml_shown(document):
    """The configuration file that a document shows, empty where it shows none."""
    return "".join(re.findall(r"```toml\n(# mleb\.toml\n.*?)```", read(document), re.DOTALL))


def test_generated_references_are_up_to_date():
    result = subprocess.run(
        [sys.executable, REPOSITORY / "docs/generate.py", "--check"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_tested(hook):
    doc = inspect.getdoc(getattr(hookspecs, hook)) or ""
    assert re.search(r"Fires .*", doc, re.DOTALL), f"{hook} does not say when it fires"
    assert re.search(r"Since \d+\.\d+", doc), f"{hook} does not say since when it is there"
    assert f"## {hook}" in (REPOSITORY / "docs/hooks.md").read_text()
    users = [
        path for path in (REPOSITORY / "tests").rglob("*.py") if path != Path(__file__) and hook in path.read_text()
    ]
    assert users, f"no test uses {hook}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_that_documents_name_exist(document):
    text = (REPOSITORY / document).read_text()
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((REPOSITORY / document).parent / path).exists(), f"{document} links to {path}"


def command_lines(text):
    """The lines of shell blocks that call mleb."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("mleb ")]


def parse(line):
    """Have a command's own parser read a line, and start nothing. Raises what the parser raises."""
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(build())
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, f"no command {' '.join(words)}"
        command = command.commands[words.pop(0)]
    with command.make_context(command.name, words):
        pass


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if command_lines(read(document))])
def test_command_lines_that_documents_show_are_ones_that_mleb_takes(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLEB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "mleb.toml").write_text(toml_shown(document))
    for line in command_lines(read(document)):
        try:
            parse(line)
        except Exception as error:
            pytest.fail(f"{document}: {line}: {type(error).__name__}: {error}")


@pytest.mark.parametrize(
    "line",
    [
        "mleb evla",
        "mleb eval --plugni x",
        "mleb eval -t soon",
        "mleb report",
        "mleb list",
        "mleb plugin",
        "mleb grade-sample",
    ],
)
def test_wrong_command_lines_would_be_seen(line):
    with pytest.raises(Exception):  # noqa: B017  typer's own errors, which it does not export
        parse(line)


def test_the_python_example_of_the_readme_runs(tmp_path, monkeypatch):
    text = (REPOSITORY / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    result = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "medal" in result.stdout
