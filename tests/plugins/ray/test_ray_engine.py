"""The engine `ray` on real clusters of several nodes: spreading, refusing, and what it does when something dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from mleb_core.cancel import cancel_runs
from mleb_core.errors import RunnerError, UsageError
from mleb_core.gateway import usage_in
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.load import load_group_report
from mleb_core.run import Limits, RunStatus
from mleb_core.runner.docker.labels import RUN, run_label
from mleb_core.status import group_status
from mleb_core.testing import EngineContract
from mleb_core.testing.images import make_test_image
from mleb_core.testing.model_server import ModelServer, Reply
from mleb_core.verify import verify_group
from mleb_ray.engine import RayEngine

DIABETES = "diabetes-progression"
GIB = 1024**3
PATIENCE_S = 120.0
STORE = 80 * 1024**2


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose head holds only runs that ask for little memory; this process is connected to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 4, "memory": GIB // 4, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        patch.setenv("MLEB_RAY_ADDRESS", cluster.address)
        yield cluster
        from mleb_ray.cluster import disconnect

        disconnect()
        cluster.shutdown()


@pytest.fixture
def node(cluster: Any) -> Iterator[Callable[[], Any]]:
    """node() adds a node that holds one run of 1 GiB."""
    made = []

    def add() -> Any:
        made.append(cluster.add_node(num_cpus=1, memory=GIB * 3 // 2, object_store_memory=STORE))
        return made[-1]

    yield add
    for one in made:
        if one in cluster.worker_nodes:
            cluster.remove_node(one)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


@pytest.mark.usefixtures("cluster")
class TestContract(EngineContract):
    id = "ray"


@dataclass
class Harness:
    """`mleb eval` in a process of its own, with agents that wait for a file."""

    output: Path
    go: Path
    starts: Path
    process: subprocess.Popen[str]
    error: str = ""

    def group(self) -> Path:
        """The group's directory, once it is there."""
        return until(lambda: next(iter(path.parent for path in self.output.glob("*/group.json")), None))

    def run(self, seed: int = 0) -> RunLayout:
        return GroupLayout(self.group()).run(DIABETES, "command", seed)

    def agents(self) -> list[int]:
        """Processes of the agents so far."""
        return [int(line) for line in self.starts.read_text().split()] if self.starts.exists() else []

    def waits(self, count: int) -> None:
        """Wait until so many agents have been started."""
        until(lambda: len(self.agents()) >= count or None, self)

    def ends(self) -> int:
        """Let the agents go on, wait for the end; the exit code."""
        self.go.touch()
        out, self.error = self.process.communicate(timeout=PATIENCE_S)
        print(out, self.error)
        return self.process.returncode


def until(look: Callable[[], Any], harness: Harness | None = None) -> Any:
    """Wait until there is something."""
    end = time.monotonic() + PATIENCE_S
    while (found := look()) is None:
        if harness is not None and harness.process.poll() is not None:
            pytest.fail(f"mleb ended: {harness.process.communicate()}")
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.1)
    return found


@pytest.fixture
def start(cluster: Any, data_dir: Path, tmp_path: Path) -> Iterator[Callable[..., Harness]]:
    """start(*arguments) begins to run groups on the cluster; agents do `then` once they may go on."""
    begun: list[Harness] = []

    def begin(*arguments: str, then: str = "true", waits: str = "") -> Harness:
        go, starts = tmp_path / "go", tmp_path / "starts"
        waits = waits or f'echo $$ >> "{starts}"; while [ ! -e "{go}" ]; do sleep 0.1; done'
        copy = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'
        given = ["-p", "command", DIABETES, "--set", f"command={waits}; {then}; {copy}", "--engine", "ray"]
        given += ["--data-dir", str(data_dir), "-o", str(tmp_path / "runs")]
        process = mleb(*(arguments if "--resume" in arguments else (*given, *arguments)))
        begun.append(Harness(tmp_path / "runs", go, starts, process))
        return begun[-1]

    yield begin
    for harness in begun:
        if harness.process.poll() is None:
            harness.process.kill()
        harness.process.communicate()


def mleb(*arguments: str) -> subprocess.Popen[str]:
    """The command, connected with the cluster by MLEB_RAY_ADDRESS."""
    command = [sys.executable, "-m", "mleb", "eval", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def events(layout: RunLayout, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in layout.events.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def statuses(layout: RunLayout) -> list[str]:
    return [line["status"] for line in events(layout, "status")]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def holds(group: Path, *, runs: int = 1) -> None:
    """The group's report is whole, each run was graded once, and every ledger holds."""
    report = load_group_report(GroupLayout(group).report_json)
    assert [run.status for run in report.runs] == [RunStatus.FINISHED] * runs
    assert verify_group(group, Registry()).holds
    for layout in GroupLayout(group).runs():
        assert statuses(layout).count("grading") == statuses(layout).count("finished") == 1


def test_a_group_on_a_cluster_is_as_on_one_machine_and_a_run_is_cancelled_alone(start):
    harness = start("-n", "2")
    harness.waits(2)
    status = group_status(harness.group())
    assert (status.engine, status.at_work, status.asked, status.waiting) == ("ray", True, 2, 0)
    assert sum(status.hosts.values()) == 2
    cancel_runs(harness.group(), [f"{DIABETES}/command/1"], Registry())
    until(lambda: statuses(harness.run(1))[-1] == "cancelled" or None, harness)
    assert harness.ends() == 1
    report = load_group_report(GroupLayout(harness.group()).report_json)
    assert [run.status for run in report.runs] == [RunStatus.FINISHED, RunStatus.CANCELLED]
    assert verify_group(harness.group(), Registry()).holds
    assert statuses(harness.run(0)) == ["preparing", "running", "grading", "finished"]
    (placed,) = events(harness.run(0), "placed")
    assert {"node", "host", "address", "pid", "gpus"} <= placed.keys()


def test_a_request_that_no_node_can_hold_is_refused_before_anything_is_written(start):
    harness = start("--gpus", "3")
    _, error = harness.process.communicate(timeout=PATIENCE_S)
    assert harness.process.returncode == 1
    assert "asks for 1 CPU, 3 GPUs" in error
    assert "has 4 CPUs, 0 GPUs" in error
    assert len(error.strip().splitlines()) == 1
    assert not harness.output.exists()


def test_no_cluster_at_an_address_is_told_in_one_line(tmp_path, data_dir):
    arguments = ["-p", "dummy", DIABETES, "--data-dir", str(data_dir), "-o", str(tmp_path)]
    process = mleb(*arguments, "--engine", "ray", "--ray-address", "ray://127.0.0.1:1")
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "Ray's client is not supported" in error


def test_a_node_that_dies_and_a_worker_that_is_killed_cost_a_try_each(start, node, cluster):
    first = node()
    harness = start("--memory-limit", "1GiB")
    harness.waits(1)
    node()
    cluster.remove_node(first, allow_graceful=False)
    harness.waits(2)
    os.kill(events(harness.run(), "placed")[-1]["pid"], signal.SIGKILL)
    harness.waits(3)
    *lost, last = harness.agents()
    assert all(is_gone(pid) for pid in lost)
    assert not is_gone(last)
    assert harness.ends() == 0
    holds(harness.group())
    failures = [(line["cause"], line["retry"], line["message"]) for line in events(harness.run(), "failure")]
    assert failures == [
        ("sandbox_failure", True, "the run was lost: its node died"),
        ("sandbox_failure", True, "the run was lost: its process was killed"),
    ]
    assert len({line["node"] for line in events(harness.run(), "placed")}) == 2
    assert "raylet" not in harness.error


def test_a_budget_of_the_group_holds_over_processes_whose_environment_has_no_key(start, cluster):
    key = "sk-of-the-harness-0123456789"
    asks = "import json, os, urllib.error, urllib.request as u\n"
    asks += "for _ in range(8):\n"
    asks += "    body = json.dumps({'model': 'mleb-model', 'messages': [{'role': 'user', 'content': 'hi'}]}).encode()\n"
    asks += (
        "    head = {'authorization': 'Bearer ' + os.environ['OPENAI_API_KEY'], 'content-type': 'application/json'}\n"
    )
    asks += "    url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'\n"
    asks += "    try: u.urlopen(u.Request(url, body, head)).read()\n"
    asks += "    except urllib.error.HTTPError as error: print(error.code)\n"
    with ModelServer(lambda _: Reply("x", delay_s=0.02), key=key) as model, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", key)
        patch.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
        terms = ["-m", "openai/gpt-4o", "--group-budget", "requests=11"]
        harness = start("-n", "2", *terms, then=f'"{sys.executable}" -c "{asks}"')
        harness.waits(2)
        assert harness.ends() == 0
        assert len(model.asked) == 11
    uses = [usage_in(harness.run(seed).transcript).requests for seed in range(2)]
    assert sum(uses) == 11
    assert [run.status for run in load_group_report(GroupLayout(harness.group()).report_json).runs] == ["finished"] * 2
    assert group_status(harness.group()).requests == 11
    for path in harness.group().rglob("*"):
        assert not path.is_file() or key.encode() not in path.read_bytes(), path


def test_a_killed_harness_is_resumed_and_what_it_left_is_ended(start):
    harness = start("-n", "2", "--workers", "1")
    harness.waits(1)
    harness.process.kill()
    harness.process.communicate()
    resumed = start("--resume", str(harness.group()))
    resumed.waits(2)
    assert is_gone(resumed.agents()[0])
    assert resumed.ends() == 0
    holds(harness.group(), runs=2)
    assert events(harness.run(0), "failure") == []
    assert json.loads(harness.run(0).run.read_text())["attempt"] == 2


def test_a_stop_interrupts_runs_wherever_they_are(start):
    harness = start("-n", "2", "--workers", "2")
    harness.waits(2)
    harness.process.send_signal(signal.SIGINT)
    harness.process.communicate(timeout=PATIENCE_S)
    assert harness.process.returncode == 128 + signal.SIGINT
    assert [statuses(harness.run(seed))[-1] for seed in range(2)] == ["interrupted", "interrupted"]
    assert all(is_gone(pid) for pid in harness.agents())


def test_settings_are_checked():
    engine = RayEngine().configured({"address": "auto", "cpus": 0.5})
    assert (engine.address, engine.cpus) == ("auto", 0.5)
    assert RayEngine().configured({"data_url": "s3://data"}).data_url == "s3://data"
    wrongs = [({"adress": "auto"}, "no setting adress"), ({"cpus": "two"}, "cpus"), ({"address": 3}, "HOST")]
    for wrong, told in (*wrongs, ({"data_url": 3}, "a URL")):
        with pytest.raises(UsageError, match=told):
            RayEngine().configured(wrong)


@pytest.mark.usefixtures("cluster")
def test_what_the_nodes_have_is_told():
    with pytest.raises(RunnerError, match=r"asks for 99 CPUs, 0 GPUs: .* has 4 CPUs, 0 GPUs"):
        RayEngine().check(Limits(cpus=99))


@pytest.mark.docker
@pytest.mark.usefixtures("docker_engine")
def test_the_container_of_a_killed_worker_is_gone_before_another_one_starts(start):
    harness = start("--runner", "docker", "--image", make_test_image(), then="sleep 600", waits="true")
    label = until(lambda: f"label={RUN}={run_label(harness.run().root)}", harness)

    def containers(*states: str) -> list[str]:
        listed = ["docker", "ps", "-aq", "--no-trunc", "--filter", label, *states]
        return subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()

    running = ("--filter", "status=running")
    first = until(lambda: next(iter(containers(*running)), None), harness)
    os.kill(events(harness.run(), "placed")[-1]["pid"], signal.SIGKILL)
    until(lambda: next((one for one in containers(*running) if one != first), None), harness)
    assert first not in containers()
    assert [line["message"] for line in events(harness.run(), "failure")] == [
        "the run was lost: its process was killed"
    ]
    cancel_runs(harness.group(), [], Registry())
    assert harness.ends() == 1
    assert containers() == []
