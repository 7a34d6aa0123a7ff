"""Run groups made by real agents on the samples, once for all workers; a viewer as a process of its own; a browser."""

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mleb_core.testing.model_server import ModelServer, Reply

MLEB = Path(sys.executable).with_name("mleb")
TITANIC, DIABETES = "titanic-survival", "diabetes-progression"
MARKUP = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
LINK = "[click](javascript:window.hacked=3) <a href='javascript:window.hacked=4'>me</a>"
LOOK = r"ls $MLEB_DATA; printf '\033[31mred\033[0m \033]0;title\007 end\n'"
PRINT = rf"""printf 'bad \377\376 utf-8, \342\200\256txet desrever\n'; echo "{MARKUP}"; seq 1 40"""
WRITE = r"""cd $MLEB_CODE
printf '<script>window.hacked = 5</script>' > page.html
printf '<svg xmlns="http://www.w3.org/2000/svg" onload="window.hacked = 6">' > a.svg
printf '<script>window.hacked = 7</script></svg>' >> a.svg
printf '{"cells": [{"outputs": [{"data": {"text/html": "<script>window.hacked = 8</script>"}}]}]}' > note.ipynb
printf 'x = 1\n' > "<img src=x onerror=window.hacked=9>.py"
ln -s /etc/passwd passwd.txt"""
HAND_IN = "cp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv"
STEPS = [
    *(
        f"{said}\n\n```bash\n{command}\n```"
        for said, command in ((MARKUP, LOOK), (LINK, PRINT), ("", WRITE), ("", HAND_IN))
    ),
    "DONE",
]
"""What the scripted model says: all sorts of hostile things, and a submission."""


@dataclass
class Runs:
    """A directory of run groups, by the agent's name."""

    root: Path
    data: Path
    env: dict[str, str]

    def group(self, agent: str) -> str:
        """The name of an agent's group."""
        (found,) = [path.name for path in self.root.iterdir() if path.name.endswith(f"run-group_{agent}")]
        return found

    def mleb(self, *arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        words = [str(word) for word in (MLEB, *arguments)]
        return subprocess.run(words, capture_output=True, text=True, env=self.env, timeout=240, **options)


def _make(root: Path) -> None:
    """The groups: dummy on two competitions and seeds, baseline with graded snapshots, react with a hostile model."""
    runs = _runs(root)
    where = ("--data-dir", runs.data, "--output", runs.root)

    def done(*arguments: object) -> None:
        result = runs.mleb(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr

    done("prepare", "-c", TITANIC, "-c", DIABETES, "--data-dir", runs.data)
    done("eval", "-p", "dummy", "-c", TITANIC, "-c", DIABETES, "--seeds", 2, "--workers", 2, *where)
    timed = ("--time-limit", "8s", "--snapshot-every", "1s")
    done("eval", "-p", "baseline", "-c", TITANIC, "--seeds", 2, "--workers", 2, *timed, *where)
    done("grade", "--snapshots", runs.root / runs.group("baseline"), "--data-dir", runs.data)
    said = iter(STEPS)
    with ModelServer(lambda asked: Reply(next(said), input_tokens=1200, output_tokens=90), key="sk-0123456789") as lab:
        runs.env |= {"MLEB_PROVIDER_LAB_BASE_URL": f"{lab.url}/v1", "MLEB_PROVIDER_LAB_API_KEY": "sk-0123456789"}
        done("eval", "-p", "react", "--model", "lab/small", "-c", TITANIC, *where)


def _runs(root: Path) -> Runs:
    home = root / "home"
    home.mkdir(parents=True, exist_ok=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLEB_", "KAGGLE_", "XDG_"))}
    return Runs(root / "runs", root / "data", {**kept, "HOME": str(home)})


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The groups; nobody changes them."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "viewer-groups"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "made").exists():
            _make(root)
            (root / "made").touch()
    return _runs(root)


@pytest.fixture
def own(made: Runs, tmp_path: Path) -> Runs:
    """A copy of the groups, to be changed."""
    shutil.copytree(made.root, tmp_path / "runs", symlinks=True)
    return Runs(tmp_path / "runs", made.data, made.env)


@dataclass
class Viewer:
    """A viewer that answers."""

    url: str
    process: "subprocess.Popen[str]"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rstrip("/").rpartition(":")[2])

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the path goes out as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def text(self, path: str) -> str:
        """A page that is there."""
        status, _, body = self.ask(path)
        assert status == 200, body
        return body.decode()

    def data(self, path: str) -> Any:
        """JSON that is there."""
        return json.loads(self.text(path))


@contextlib.contextmanager
def _viewing(runs: Path, env: Mapping[str, str], *arguments: object) -> Iterator[Viewer]:
    words = [str(word) for word in (MLEB, "view", runs, "--port", 0, "--json", *arguments)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(env))
    try:
        assert process.stdout is not None
        told = "".join(process.stdout.readline() for _ in range(3))
        yield Viewer(json.loads(told)["url"], process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def view(made: Runs) -> Iterator[Viewer]:
    """The viewer of the groups that nobody changes."""
    with _viewing(made.root, made.env) as viewer:
        yield viewer


@pytest.fixture
def viewing(made: Runs) -> Iterator[Callable[..., Viewer]]:
    """Start a viewer on another directory."""
    with contextlib.ExitStack() as stack:
        yield lambda runs, *arguments: stack.enter_context(_viewing(runs, made.env, *arguments))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; without it these tests are skipped, but never in CI."""
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        message = "no browser: needs chromium (apt-get install chromium) and playwright (pip)"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of which no script may fail, that tells nothing on the console, and asks no host but this one."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    context.set_default_timeout(60_000)
    opened = context.new_page()
    told: list[str] = []
    opened.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: told.append(str(error)))
    opened.on("request", lambda asked: told.append(asked.url) if not _is_ours(asked.url) else None)
    opened.on("dialog", lambda dialog: (told.append(dialog.message), dialog.dismiss()))
    opened.told = told
    yield opened
    context.close()
    assert told == []


def _is_ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "file:///", "blob:", "data:"))


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for something."""

    def wait(condition: Callable[[], object], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    return wait
