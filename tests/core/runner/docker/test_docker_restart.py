"""The engine dies or is restarted under a run; on an engine of the test's own."""

import contextlib
import gc
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mleb_core import SandboxError
from mleb_core.agent import Image
from mleb_core.layout import CompetitionData
from mleb_core.run import Limits, Outcome, RunStatus
from mleb_core.runner.docker import client, state
from mleb_core.runner.docker.runner import DockerRunner
from mleb_core.runner.protocol import Stop
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job

pytestmark = [
    pytest.mark.docker,
    # docker-py leaves a socket to the garbage collector when it cannot connect.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def cannot(why: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    yield
    gc.collect()  # while these warnings are passed over


class Daemon:
    """A dockerd with everything of its own; no network. Its containerd is started apart, and stays through restarts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = f"unix://{root}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None
        (root / "containerd.toml").write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        command = [
            *("containerd", "--config", f"{root}/containerd.toml", "--address", f"{root}/containerd.sock"),
            *("--root", f"{root}/containerd", "--state", f"{root}/containerd-state"),
        ]
        with (root / "containerd.log").open("ab") as log:
            self.containerd = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def start(self, *options: str) -> None:
        command = [
            # A network of its own: an engine without a bridge removes the bridge of the one that is here already.
            *("unshare", "--net", "dockerd", "--data-root", f"{self.root}/data", "--exec-root", f"{self.root}/exec"),
            *("-H", self.socket, "--pidfile", f"{self.root}/pid", "--bridge=none", "--iptables=false"),
            *("--ip-masq=false", "--containerd", f"{self.root}/containerd.sock"),
            *("--containerd-namespace", self.root.name, *options),
        ]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                cannot(f"no engine of its own can be started: {(self.root / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asked:
            try:
                asked.connect(f"{self.root}/docker.sock")
                asked.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200 OK" in asked.recv(1000)
            except OSError:
                return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def end(self) -> None:
        """With all that it started: shims outlive it."""
        self.stop()
        self.containerd.kill()
        self.containerd.wait()
        mine = str(self.root).encode()
        for _ in range(3):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    words = path.read_bytes().split(b"\0")
                    if words[0].endswith((b"containerd", b"containerd-shim-runc-v2")) and any(mine in w for w in words):
                        os.kill(int(path.parent.name), signal.SIGKILL)
            time.sleep(0.2)
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if line.split()[1].startswith(str(self.root)):
                subprocess.run(["umount", "-l", line.split()[1]], check=False, capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)


@pytest.fixture(scope="module")
def daemon(test_image: Image) -> Iterator[Daemon]:
    if os.geteuid() != 0 or not all(map(shutil.which, ("containerd", "dockerd", "unshare"))):
        cannot("an engine of its own needs root, dockerd and unshare")
    # Its name becomes a namespace of containerd, which refuses many of tempfile's names: `_` at an end, or two of them.
    root = Path(tempfile.gettempdir(), f"mleb-d-{secrets.token_hex(4)}")
    root.mkdir(mode=0o700)
    found = Daemon(root)
    try:
        found.start("--live-restore")
        assert test_image.reference is not None
        with subprocess.Popen(["docker", "save", test_image.reference], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "-H", found.socket, "load"], stdin=saved.stdout, check=True, capture_output=True)
        yield found
    finally:
        found.end()


@pytest.fixture
def own_runner(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerRunner]:
    monkeypatch.setenv("DOCKER_HOST", daemon.socket)
    yield DockerRunner()
    listed = subprocess.run(["docker", "-H", daemon.socket, "ps", "-aq"], capture_output=True, check=True)
    assert listed.stdout == b""


@pytest.fixture
def job(tmp_path: Path, tiny: CompetitionData, test_image: Image) -> Any:
    code = """
import time
for n in range(80):
    print("line", n, flush=True)
    time.sleep(0.05)
open("/home/submission/submission.csv", "w").write("done")
"""
    limits = Limits(time_s=60, grace_s=1)
    return tiny_job(tmp_path / "a" / "b" / "c" / "0", tiny, Script(code, test_image), limits=limits)


def under_way(job: Any, running: "Future[Outcome]") -> None:
    while not (job.layout.log.is_file() and job.layout.log.read_bytes().count(b"\n") >= 3):
        if running.done():
            pytest.fail(f"the run ended before its agent had begun: {running.exception() or running.result()}")
        time.sleep(0.02)


def test_a_restart_that_leaves_the_container_running_is_survived(
    daemon: Daemon, own_runner: DockerRunner, job: Any
) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(own_runner.run, job, Stop())
        under_way(job, running)
        daemon.stop(signal.SIGKILL)
        time.sleep(1.0)
        daemon.start("--live-restore")
        outcome = running.result()
    assert outcome.status is RunStatus.FINISHED
    assert job.layout.log.read_text().splitlines() == [f"line {n}" for n in range(80)]
    assert job.layout.submission.read_text() == "done"


def test_a_restart_that_takes_the_container_along_is_a_failure_of_the_place(
    daemon: Daemon, own_runner: DockerRunner, job: Any
) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(own_runner.run, job, Stop())
        under_way(job, running)
        daemon.stop()
        daemon.start()
        with pytest.raises(SandboxError) as told:
            running.result()
    assert "\n" not in str(told.value) and "from outside" in str(told.value)
    assert own_runner.run(job, Stop()).status is RunStatus.FINISHED
    assert job.layout.log.read_text().splitlines()[-80:] == [f"line {n}" for n in range(80)]


def test_an_engine_that_stays_away_is_not_waited_for_without_end(
    daemon: Daemon, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", daemon.socket)
    for module in (client, state):
        monkeypatch.setattr(module, "PATIENCE_S", 1.0)
    runner = DockerRunner()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, job, Stop())
        under_way(job, running)
        daemon.stop()
        with pytest.raises(SandboxError, match=r"engine is gone|from outside"):
            running.result()
    with pytest.raises(SandboxError, match=r"no Docker engine answers|engine is gone"):
        runner.run(job, Stop())
