"""Each distribution works when it is installed from its wheel alone, outside the checkout."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PROJECTS = {path.parent.name: path.parent for path in REPOSITORY.glob("plugins/*/*/pyproject.toml")}
PROJECTS |= {"core": REPOSITORY / "core", "cli": REPOSITORY / "cli"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """A wheel of every distribution, built from a copy, so that nothing is written into the checkout."""
    built, sources = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("sources")
    for name, project in PROJECTS.items():
        shutil.copytree(project, sources / name, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
        code = f"import hatchling.build as b; b.build_wheel({str(built)!r})"
        subprocess.run([sys.executable, "-c", code], cwd=sources / name, check=True, capture_output=True)
    return built


@pytest.fixture(scope="module")
def mleb(wheels, tmp_path_factory):
    """Runs the `mleb` of a new environment into which `pip install mleb` was done."""
    root = tmp_path_factory.mktemp("installed")
    venv.create(root / "venv", with_pip=True)
    python = root / "venv/bin/python"
    quiet = ["--quiet", "--disable-pip-version-check"]
    where = ["--find-links", str(wheels), "--constraint", str(REPOSITORY / "constraints.txt")]
    subprocess.run([python, "-m", "pip", "install", *quiet, *where, "mleb"], check=True, cwd=root)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLEB", "VIRTUAL_ENV"))
        }
        command = [root / "venv/bin/mleb", *arguments]
        return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)

    return run


def test_install_brings_command_samples_metrics_and_agents(mleb):
    plugins = json.loads(mleb("list", "plugins", "--json").stdout)
    assert {plugin["distribution"] for plugin in plugins} == {
        f"mleb-plugin-{name}" for name in ("baseline", "dummy", "metrics", "samples")
    }
    assert [plugin["error"] for plugin in plugins] == [None] * 4
    listed = json.loads(mleb("list", "competitions", "--json").stdout)
    assert len(listed) == 8


def test_the_installed_command_does_the_main_job(mleb, tmp_path):
    places = ["--data-dir", str(tmp_path / "data"), "--output", str(tmp_path / "runs")]
    result = mleb("eval", "--plugin", "dummy", "--split", "samples", "--json", *places)
    assert result.returncode == 0, result.stderr
    counts = json.loads(result.stdout)["counts"]
    assert counts["asked"] == counts["valid"] == 8


def test_the_viewer_says_what_it_needs(mleb):
    result = mleb("view", ".")
    assert (result.returncode, result.stderr) == (1, "Error: mleb view needs jinja2: pip install 'mleb[view]'\n")


def test_every_wheel_is_typed_and_holds_its_folders(wheels):
    import zipfile

    names = {path.name.partition("-")[0]: set(zipfile.ZipFile(path).namelist()) for path in wheels.glob("*.whl")}
    assert len(names) == len(PROJECTS)
    for files in names.values():
        assert any(name.endswith("/py.typed") for name in files)
        assert not any("__pycache__" in name for name in files)
    assert "mleb_samples/titanic-survival/competition.toml" in names["mleb_plugin_samples"]
    assert "mleb_core/testing/tiny/description.md" in names["mleb_core"]
    assert {"mleb/view/templates/base.html", "mleb/view/static/uPlot.iife.min.js"} <= names["mleb"]
