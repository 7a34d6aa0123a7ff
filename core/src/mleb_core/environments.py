"""Python environments that scaffolds need for themselves on this machine: made on first use, then kept.

An environment lies in the user's cache directory under a name that holds a hash of its requirements and interpreter, so
that another version of a plugin makes another one and nothing is ever changed in place. It is a virtual environment,
which cannot be moved, so it is made where it stays; a marker file, written last, says that it is whole.
"""

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mleb_core.agent import Environment, Scaffold, environment_of
from mleb_core.errors import PluginError, RunnerError

__all__ = ["cache_dir", "check_environment", "ensure_environment", "python_for"]

Tell = Callable[[str], None]

MARKER = "mleb-environment.txt"
"""In a whole environment: what is in it."""
PROBE = """\
import sys, ensurepip, venv
print(sys.version_info[0], sys.version_info[1], getattr(sys, "_base_executable", None) or sys.executable)
"""
"""Run by a candidate: its version and the interpreter behind shims and virtual environments."""
NOT_PASSED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV", "PIP_TARGET")
TELL_S = 15.0
"""Seconds between two lines that say how far it is."""
UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|name resolution|ConnectTimeout|ProxyError|Network is unreachable"
    r"|ConnectionRefused|Connection refused|No route to host|ReadTimeoutError"
)


def cache_dir() -> Path:
    """Where mleb keeps what can be made again: $MLEB_CACHE_DIR, else $XDG_CACHE_HOME/mleb, else ~/.cache/mleb."""
    if own := os.environ.get("MLEB_CACHE_DIR"):
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "mleb"


def python_for(scaffold: Scaffold, settings: Mapping[str, Any], tell: Tell | None = None) -> str:
    """The interpreter on this machine that runs a scaffold's program; its environment is made if it is not there.

    Args:
        scaffold: whose program.
        settings: its settings, validated.
        tell: gets one line now and then while an environment is being made.

    Raises:
        as `ensure_environment`; PluginError also where the scaffold declares something that is none.
    """
    environment = environment_of(scaffold, settings)
    return sys.executable if environment is None else ensure_environment(environment, tell)


def check_environment(environment: Environment) -> None:
    """Check that an environment can be made here, as far as that shows without making it.

    Raises:
        RunnerError: no Python on this machine fits.
        PluginError: a requirement is not pinned, or the name cannot be one.
    """
    _home(environment, _base_python(environment))


def ensure_environment(environment: Environment, tell: Tell | None = None) -> str:
    """The interpreter of an environment, which is made if it is not there. Safe in many threads and processes.

    Args:
        environment: what it holds.
        tell: gets one line now and then while it is being made.

    Raises:
        RunnerError: no Python fits, the package index cannot be reached, pip failed, or the disk does not take it.
        PluginError: a requirement is not pinned, or the name cannot be one.
    """
    say = tell or (lambda line: None)
    base = _base_python(environment)
    home = _home(environment, base)
    python = home / "bin" / "python"
    if _whole(home, python):
        return str(python)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with _held(home.with_name(f"{home.name}.lock"), lambda: say(f"{environment.name}: another mleb is making it")):
            if not _whole(home, python):
                _make(environment, base, home, python, say)
    except OSError as error:
        where = error.filename or home
        raise RunnerError(
            f"the Python environment of {environment.name} cannot be made: {where}: {error.strerror or error}; "
            "mend that, or set MLEB_CACHE_DIR"
        ) from error
    return str(python)


def _home(environment: Environment, base: str) -> Path:
    for line in (*environment.requirements, *environment.alone):
        if "\n" in line or line.startswith("-") or not ("==" in line or " @ " in line):
            raise PluginError(f"environment {environment.name} requires {line!r}, expected NAME==VERSION")
    if not re.fullmatch(r"[A-Za-z0-9-]+", environment.name):
        raise PluginError(f"environment name {environment.name!r}: expected letters, digits and -")
    parts = (sorted(environment.requirements), sorted(environment.alone), base, platform.machine())
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return cache_dir() / "environments" / f"{environment.name}-{digest}"


def _whole(home: Path, python: Path) -> bool:
    return (home / MARKER).is_file() and python.exists()  # exists: the interpreter behind the link may be gone


def _base_python(environment: Environment) -> str:
    """The interpreter to make an environment with: the running one if it fits, else the newest on PATH that does, else
    the newest that pyenv or uv has put on this machine.
    """
    least, most = environment.least, environment.most
    names = [f"python{least[0]}.{minor}" for minor in range(most[1], least[1] - 1, -1)]
    candidates = [sys.executable] if least <= sys.version_info[:2] <= most else []
    candidates += [*names, *(path for name in names for path in _put_here(name))]
    broken = ""
    for name in candidates:
        found = _probe(name)
        if isinstance(found, tuple) and least <= found[0] <= most:
            return found[1]
        broken = broken or (found if isinstance(found, str) else "")
    wanted = ".".join(map(str, least)) if least == most else f"{least[0]}.{least[1]} to {most[0]}.{most[1]}"
    raise RunnerError(
        f"{environment.name} needs Python {wanted}, and none is here"
        + (f" that can make virtual environments ({broken})" if broken else "")
        + f"; install one so that python{most[0]}.{most[1]} is on PATH (or with pyenv or uv), or use --runner docker"
    )


def _put_here(name: str) -> list[str]:
    """Interpreters of this name, such as `python3.12`, in the places of pyenv and uv, newest first."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    data = Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser()
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python").expanduser()

    def age(path: Path) -> list[int]:
        return [int(number) for number in re.findall(r"\d+", path.parents[1].name)[:3]]

    found = [path for place in (pyenv, uv) for path in place.glob(f"*/bin/{name}") if os.access(path, os.X_OK)]
    return [str(path) for path in sorted(found, key=age, reverse=True)]


def _probe(name: str) -> tuple[tuple[int, int], str] | str | None:
    """A candidate's version and true path; what it lacks; or None where there is no such program."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        asked = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=False, env=_clean()
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = asked.stdout.split(maxsplit=2)
    if asked.returncode == 0 and len(words) == 3:
        return (int(words[0]), int(words[1])), os.path.realpath(words[2].strip())
    missing = re.search(r"No module named '?(\w+)", asked.stderr)
    return f"{path} lacks {missing[1]}" if missing else None  # a version manager's shim without that version


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NOT_PASSED}


@contextlib.contextmanager
def _held(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process dies."""
    import fcntl

    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _make(environment: Environment, base: str, home: Path, python: Path, say: Tell) -> None:
    started = time.monotonic()
    if home.exists():  # broken off, or its interpreter is gone
        shutil.rmtree(home)
    size = f", about {environment.size}" if environment.size else ""
    say(f"{environment.name}: making its Python environment in {home} (once{size})")
    log = home.with_name(f"{home.name}.log")
    log.unlink(missing_ok=True)
    requirements = home / "requirements.txt"
    try:
        _step(environment, [base, "-I", "-m", "venv", str(home)], log, say)
        requirements.write_text("".join(f"{line}\n" for line in environment.requirements), encoding="utf-8")
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar=off"]
        if environment.requirements:
            _step(environment, [*pip, "--no-compile", "-r", str(requirements)], log, say)
        if environment.alone:
            _step(environment, [*pip, "--no-compile", "--no-deps", *environment.alone], log, say)
    except BaseException:  # also Ctrl-C
        shutil.rmtree(home, ignore_errors=True)
        raise
    lines = [f"python {base}", *environment.requirements, *environment.alone]
    part = home / f"{MARKER}.part"
    part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    part.replace(home / MARKER)
    log.unlink(missing_ok=True)
    say(f"{environment.name}: its Python environment is ready after {time.monotonic() - started:.0f} s")


def _step(environment: Environment, command: Sequence[str], log: Path, say: Tell) -> None:
    """Run one command of the making; its output goes to the log, and now and then in short to the user.

    Raises:
        RunnerError: it failed.
    """
    total, found = len(environment.requirements), 0
    next_word = time.monotonic() + TELL_S
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_clean()
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                sink.write(line)
                found += line.startswith(b"Collecting ")
                if line.startswith(b"Installing collected"):
                    say(f"{environment.name}: installing {total} packages")
                elif found and time.monotonic() >= next_word:
                    next_word = time.monotonic() + TELL_S
                    say(f"{environment.name}: {found} of {total} packages fetched")
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            code = process.wait()
    if code:
        raise RunnerError(f"the Python environment of {environment.name} cannot be made: {_cause(log, code)}")


def _cause(log: Path, code: int) -> str:
    """What went wrong, in one line, from the log of a failed command."""
    text = log.read_text(encoding="utf-8", errors="replace")
    if UNREACHABLE.search(text) or ("(from versions: none)" in text and "PIP_NO_INDEX" not in os.environ):
        return f"pip cannot reach its package index; connect once, or set PIP_INDEX_URL; its log is {log}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    return f"{told[0] if told else f'exit code {code}'}; the whole log is {log}"
