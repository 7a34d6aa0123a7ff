"""Many containers at once: all of them run, and nothing of them is left, neither on the engine nor in the harness."""

import contextlib
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import docker
import pytest

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, RunStatus
from mleb_core.runner.protocol import Stop
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image

pytestmark = pytest.mark.docker

DIABETES = "diabetes-progression"
AT_ONCE = 64


def open_handles() -> Counter[str]:
    """Open files of this process by what they are: a path, or socket, pipe and the like without their numbers."""
    found: Counter[str] = Counter()
    for path in Path("/proc/self/fd").iterdir():
        try:
            found[str(path.readlink()).partition(":")[0]] += 1
        except FileNotFoundError:
            continue  # that of the directory itself
    return found


def containers(root: Path, *, running: bool) -> int:
    """How many containers of runs beneath a directory there are on the engine now."""
    with contextlib.closing(docker.from_env()) as client:
        found = client.api.containers(all=not running, filters={"label": "mleb.run"})
    return sum(Path(one["Labels"]["mleb.group"]).is_relative_to(root) for one in found)


def left_over(root: Path, temporary: Path) -> Counter[str]:
    """What could leak, counted by kind."""
    with contextlib.closing(docker.from_env()) as client:
        engine = Counter(networks=len(client.api.networks()), volumes=len(client.api.volumes()["Volumes"] or ()))
    return engine + Counter(
        containers=containers(root, running=False),
        threads=threading.active_count(),
        **{f"handles of {kind}": count for kind, count in open_handles().items()},
        temporary=len(list(temporary.rglob("*"))),
    )


@pytest.fixture
def temporary(monkeypatch):
    """A directory for all temporary files, of a name so short that sockets have room in it."""
    with tempfile.TemporaryDirectory(prefix="m") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


def test_64_containers_at_once_leave_nothing_behind(docker_engine, tmp_path, temporary):
    registry = Registry()
    prepare(registry.competition(DIABETES), tmp_path / "data")
    image = make_test_image()

    def request(command: str, **fields: object) -> EvalRequest:
        given = {"limits": Limits(time_s=600, memory_bytes=128 * 1024**2), "workers": AT_ONCE, **fields}
        return EvalRequest(
            agents=("command",),
            competitions=(DIABETES,),
            data_dir=tmp_path / "data",
            output=tmp_path / "runs",
            runner="docker",
            terms=Terms(image=image),
            settings={"command": command},
            **given,  # type: ignore[arg-type]
        )

    evaluate(request("true"), registry)  # what a process makes once and keeps is no leak
    before, most, stop, over = left_over(tmp_path, temporary), 0, Stop(), threading.Event()

    def watch() -> None:
        nonlocal most
        while most < AT_ONCE and not over.wait(0.5):
            most = max(most, containers(tmp_path, running=True))
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        report = evaluate(request("sleep 500", seeds=AT_ONCE), registry, stop=stop)
    finally:
        over.set()
        watcher.join()
    assert most == AT_ONCE
    assert {run.status for run in report.runs} <= {RunStatus.INTERRUPTED}
    until = time.monotonic() + 20
    while (after := left_over(tmp_path, temporary)) - before and time.monotonic() < until:
        time.sleep(0.5)  # connections that are being closed
    assert after - before == Counter()
