"""The documents say what the code does."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core import hookspecs

REPOSITORY = Path(__file__).parents[2]
HOOKS = [name for name, item in vars(hookspecs).items() if name.startswith("mleb_") and inspect.isfunction(item)]


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


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_that_documents_name_exist(document):
    text = (REPOSITORY / document).read_text()
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (REPOSITORY / path).exists(), f"{document} links to {path}"


def test_the_python_example_of_the_readme_runs(tmp_path, monkeypatch):
    text = (REPOSITORY / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "example.py").write_text(example)
    result = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "medal" in result.stdout
