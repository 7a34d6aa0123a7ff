"""Many containers at once: all of them run, and nothing of them is left, neither on the engine nor in the harness."""

import contextlib
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import docker
import psutil
import pytest

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, Run, RunStatus
from mleb_core.runner.protocol import Stop
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image

pytestmark = pytest.mark.docker

DIABETES = "diabetes-progression"
AT_ONCE = 64
RUNS, WORKERS, SOME = 1000, 16, 200
GROWTH = 48 * 1024**2
"""Bytes by which the harness may grow from run SOME to run RUNS: what it keeps of a run is some kilobytes."""


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
        found = {"networks": client.api.networks(), "volumes": client.api.volumes()["Volumes"] or ()}
    # Those with a label of another group are those of a test that goes on beside this one.
    engine: Counter[str] = Counter()
    for kind, objects in found.items():
        groups = [Path((one["Labels"] or {}).get("mleb.group", root)) for one in objects]
        engine[kind] = sum(group.is_relative_to(root) for group in groups)
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


@pytest.fixture(scope="module")
def asked(docker_engine, tmp_path_factory):
    """What makes a request for runs of a command in containers of the test image."""
    root = tmp_path_factory.mktemp("data")
    registry = Registry()
    prepare(registry.competition(DIABETES), root)
    image = make_test_image()

    def request(output: Path, command: str, **fields: object) -> EvalRequest:
        given = {"limits": Limits(time_s=600, memory_bytes=128 * 1024**2), **fields}
        return EvalRequest(
            agents=("command",),
            competitions=(DIABETES,),
            data_dir=root,
            output=output,
            runner="docker",
            terms=Terms(image=image),
            settings={"command": command},
            **given,  # type: ignore[arg-type]
        )

    return registry, request


def assert_nothing_more(before: Counter[str], root: Path, temporary: Path) -> None:
    until = time.monotonic() + 60
    while (after := left_over(root, temporary)) - before and time.monotonic() < until:
        time.sleep(0.5)  # connections that are being closed
    assert after - before == Counter()


def test_64_containers_at_once_leave_nothing_behind(asked, tmp_path, temporary):
    registry, request = asked
    evaluate(request(tmp_path, "true"), registry)  # what a process makes once and keeps is no leak
    before, most, stop, over = left_over(tmp_path, temporary), 0, Stop(), threading.Event()

    def watch() -> None:
        nonlocal most
        while most < AT_ONCE and not over.wait(0.5):
            most = max(most, containers(tmp_path, running=True))
        stop.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        report = evaluate(request(tmp_path, "sleep 500", seeds=AT_ONCE, workers=AT_ONCE), registry, stop=stop)
    finally:
        over.set()
        watcher.join()
    assert most == AT_ONCE
    assert {run.status for run in report.runs} <= {RunStatus.INTERRUPTED}
    assert_nothing_more(before, tmp_path, temporary)


def test_1000_short_runs_leave_nothing_behind_in_memory_that_stays_the_same(asked, tmp_path, temporary):
    registry, request = asked
    evaluate(request(tmp_path, "true", seeds=2), registry)
    before, memory, ended = left_over(tmp_path, temporary), [], 0
    process, lock = psutil.Process(), threading.Lock()

    def count(changed: Run) -> None:
        nonlocal ended
        with lock:
            if changed.status is RunStatus.FINISHED:
                ended += 1
                if ended in (SOME, RUNS):
                    memory.append(process.memory_info().rss)

    report = evaluate(request(tmp_path, "true", seeds=RUNS, workers=WORKERS), registry, on_change=count)
    assert Counter(run.status for run in report.runs) == {RunStatus.FINISHED: RUNS}
    at_some, in_the_end = memory
    assert in_the_end - at_some < GROWTH
    assert_nothing_more(before, tmp_path, temporary)
