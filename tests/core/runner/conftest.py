"""Jobs with scripts as agents, for tests of the runners."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mleb_core import Launch, LaunchContext
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, RunKey
from mleb_core.runner.protocol import Job

MakeJob = Callable[..., Job]


@dataclasses.dataclass
class Script:
    """A scaffold that starts a given command, or Python code."""

    command: str | Sequence[str]
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    id: str = "script"
    summary: str = "runs a script"
    contexts: list[LaunchContext] = dataclasses.field(default_factory=list)

    def variants(self) -> tuple[str, ...]:
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        self.contexts.append(context)
        argv = [context.python, "-c", self.command] if isinstance(self.command, str) else list(self.command)
        return Launch(argv, env=self.env, files=self.files)


@pytest.fixture
def public(tmp_path: Path) -> Path:
    folder = tmp_path / "prepared" / "public"
    (folder / "images" / "deep").mkdir(parents=True)
    (folder / "train.csv").write_text("id,y\n1,2\n")
    (folder / "sample_submission.csv").write_text("id,y\n3,0\n")
    (folder / "description.md").write_text("the original")
    (folder / "images" / "a.bin").write_bytes(b"\x00\xff")
    (folder / "images" / "deep" / "b.bin").write_bytes(b"\x01")
    return folder


@pytest.fixture
def make_job(tmp_path: Path, public: Path) -> MakeJob:
    """A job in a directory of its own; `agent` is Python code, an argument list or a scaffold."""

    def make(agent: Any, *, name: str = "run", env: Mapping[str, str] | None = None, **limits: Any) -> Job:
        root = tmp_path / "runs" / name
        root.mkdir(parents=True, exist_ok=True)
        scaffold = agent if hasattr(agent, "launch") else Script(agent)
        return Job(
            key=RunKey(competition="iris@2", agent="script", seed=3),
            layout=RunLayout(root),
            public=public,
            description="what the agent shall read",
            instructions="do it ☂",
            scaffold=scaffold,
            variant=None,
            model=None,
            settings={},
            limits=Limits(**{"time_s": 60.0, **limits}),
            env=env or {},
        )

    return make


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Wait until something is true; the test's own time limit ends the wait."""

    def wait(condition: Callable[[], Any]) -> Any:
        while not (value := condition()):
            time.sleep(0.01)
        return value

    return wait


@pytest.fixture
def bystander() -> Any:
    """A process in a session of its own that no run has started; it must outlive every test."""
    import subprocess

    process = subprocess.Popen(["sleep", "1000"], start_new_session=True, env={"PATH": os.environ["PATH"]})
    yield process
    survived = process.poll() is None
    process.kill()
    process.wait()
    assert survived
