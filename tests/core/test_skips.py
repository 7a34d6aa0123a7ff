"""A test that needs a sandbox may be skipped on a machine without it, and never in continuous integration."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

@pytest.mark.docker
def test_skips_itself():
    pytest.skip("no bridge")

@pytest.fixture
def absent():
    pytest.skip("no bubblewrap")

@pytest.mark.bwrap
def test_has_not_what_it_needs(absent):
    pass

def test_of_something_else():
    pytest.skip("not here")

@pytest.mark.docker
def test_runs():
    pass
"""


@pytest.mark.parametrize("ci", ["", "true"])
def test_what_needs_a_sandbox_is_never_skipped_in_ci(tmp_path: Path, ci: str) -> None:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "CI": ci, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if ci:
        assert "1 failed, 1 passed, 1 skipped, 1 error" in done.stdout, done.stdout
        assert "test_skips_itself must not be skipped in CI: Skipped: no bridge" in done.stdout
        assert "test_has_not_what_it_needs must not be skipped in CI: Skipped: no bubblewrap" in done.stdout
    else:
        assert "1 passed, 3 skipped" in done.stdout, done.stdout
