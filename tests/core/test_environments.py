"""Python environments of scaffolds: made once, whole or not at all. From a folder of wheels, without a network."""

import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from mleb_core.agent import Environment, environment_of
from mleb_core.environments import _base_python, cache_dir, check_environment, ensure_environment, python_for
from mleb_core.errors import PluginError, RunnerError

HERE = sys.version_info[:2]
RUNNING = {"least": HERE, "most": HERE}


def make_wheel(folder: Path, name: str, requires: str = "") -> None:
    """A wheel of one module that holds a number."""
    info = f"{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "NUMBER = 7\n")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and an index of two small wheels."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "tinylib")
    make_wheel(wheels, "greedy", requires="a-distribution-that-is-nowhere==9")
    monkeypatch.setenv("MLEB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path / "cache" / "environments"


def test_it_is_made_once_for_two_harnesses_and_after_being_broken_off(cache):
    code = (
        "from mleb_core.agent import Environment; from mleb_core.environments import ensure_environment\n"
        "e = Environment('tiny', ['tinylib==1.0'], ['greedy==1.0'], (3, 10), (3, 99), '1 MB')\n"
        "print('python', ensure_environment(e, print))"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("making its Python environment" in line for lines in told for line in lines) == 1
    (python,) = {lines[-1].removeprefix("python ") for lines in told}
    number = subprocess.run(
        [python, "-c", "import tinylib, greedy, sys; print(tinylib.NUMBER, sys.prefix)"], capture_output=True, text=True
    )
    assert number.stdout.split() == ["7", str(Path(python).parent.parent)]
    assert [path.suffix for path in sorted(cache.iterdir())] == ["", ".lock"]
    environment = Environment("tiny", ["tinylib==1.0"], ["greedy==1.0"], (3, 10), (3, 99), "1 MB")
    lines: list[str] = []
    assert ensure_environment(environment, lines.append) == python
    assert lines == []
    (Path(python).parents[1] / "mleb-environment.txt").unlink()  # as a killed harness leaves it
    (Path(python).parents[1] / "half").touch()
    assert ensure_environment(environment, lines.append) == python
    assert "making" in lines[0] and not (Path(python).parents[1] / "half").exists()


def test_what_fails_is_told_in_one_line_and_leaves_nothing(cache, monkeypatch):
    missing = Environment("tiny", ["tinylib==2.0"], **RUNNING)
    with pytest.raises(RunnerError, match=r"tinylib==2\.0.*the whole log is (\S+)") as caught:
        ensure_environment(missing)
    log = Path(str(caught.value).rpartition(" ")[2])
    assert "tinylib" in log.read_text() and "\n" not in str(caught.value)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(RunnerError, match="pip cannot reach its package index"):
        ensure_environment(missing)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_a_python_that_fits_is_looked_for(cache, monkeypatch, tmp_path):
    with pytest.raises(RunnerError, match=r"old needs Python 2\.6 to 2\.7.*python2\.7 is on PATH.*docker"):
        check_environment(Environment("old", ["tinylib==1.0"], least=(2, 6), most=(2, 7)))
    other = (HERE[0], HERE[1] + 40)  # a name on PATH that leads to a Python of another version is not taken
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / f"python{other[0]}.{other[1]}").symlink_to(sys.executable)
    (shims / f"python{other[0]}.{other[1] + 1}").write_text("#!/bin/sh\nexit 127\n")
    (shims / f"python{other[0]}.{other[1] + 1}").chmod(0o755)
    monkeypatch.setenv("PATH", str(shims))
    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    with pytest.raises(RunnerError, match="none is here"):
        check_environment(Environment("new", ["tinylib==1.0"], least=other, most=(other[0], other[1] + 1)))
    check_environment(Environment("running", ["tinylib==1.0"], **RUNNING))
    assert not cache.exists()


@pytest.mark.parametrize(("variable", "folder"), [("PYENV_ROOT", "versions"), ("UV_PYTHON_INSTALL_DIR", "")])
def test_a_python_of_pyenv_or_uv_is_found(cache, monkeypatch, tmp_path, variable, folder):
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    other = (HERE[0], HERE[1] + 40)
    wanted = Environment("new", ["tinylib==1.0"], least=other, most=other)
    with pytest.raises(RunnerError, match="none is here"):
        check_environment(wanted)
    # It says of itself what its place promises, as an interpreter of another version than this one cannot be had here.
    for patch in (9, 10):
        program = (
            tmp_path / variable / folder / f"{other[0]}.{other[1]}.{patch}" / "bin" / f"python{other[0]}.{other[1]}"
        )
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho {other[0]} {other[1]} {tmp_path}/{patch}\n")
        program.chmod(0o755)
    check_environment(wanted)
    assert _base_python(wanted) == str(tmp_path / "10")


@pytest.mark.parametrize("line", ["tinylib", "tinylib>=1", "--no-index", "a==1\nb"])
def test_what_is_not_pinned_is_refused(cache, line):
    with pytest.raises(PluginError, match="expected NAME==VERSION"):
        check_environment(Environment("tiny", [line], **RUNNING))


def test_scaffolds_without_one_get_the_running_python(cache):
    plain = SimpleNamespace(id="plain")
    assert environment_of(plain) is None  # type: ignore[arg-type]
    assert python_for(plain, {}) == sys.executable  # type: ignore[arg-type]
    wrong = SimpleNamespace(id="wrong", environment=lambda settings: "venv")
    with pytest.raises(PluginError, match=r"agent wrong: its environment is a str"):
        python_for(wrong, {})  # type: ignore[arg-type]


def test_the_cache_directory_can_be_set(monkeypatch, tmp_path):
    monkeypatch.delenv("MLEB_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "mleb"
    monkeypatch.setenv("MLEB_CACHE_DIR", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
