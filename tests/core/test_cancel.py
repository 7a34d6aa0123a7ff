"""Runs are cancelled alone, by whatever process, and their group goes on."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import mleb_core
from mleb_core.cancel import cancel_runs, restore_runs, runs_named
from mleb_core.errors import RunGroupError, UnknownIdError
from mleb_core.evaluate import EvalRequest, evaluate, resume
from mleb_core.layout import GroupLayout
from mleb_core.plugins import load_plugins
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, Run, RunGroup, RunStatus
from mleb_core.runner.protocol import Stop

DIABETES = "diabetes-progression"
SUBMIT = "import os, shutil; e = os.environ; "
SUBMIT += "shutil.copy(e['MLEB_DATA'] + '/sample_submission.csv', e['MLEB_SUBMISSION'] + '/submission.csv'); "


class Waiter:
    """Hands in at once; seed 0 then waits until it is killed, the others while `gate` is missing."""

    id = "waiter"
    summary = "Waits."

    def __init__(self, gate: Path) -> None:
        self.gate = gate

    def variants(self):
        return ()

    def launch(self, context):
        gate = "/nowhere" if context.seed == 0 else self.gate
        code = SUBMIT + f"import time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)"
        return mleb_core.Launch([context.python, "-c", code])

    @mleb_core.hookimpl
    def mleb_register_agents(self):
        return [self]


def registry_with(gate: Path) -> Registry:
    manager = load_plugins()
    manager.register(Waiter(gate), "waiter")
    return Registry(manager)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def registry(tmp_path) -> Registry:
    return registry_with(tmp_path / "gate")


@pytest.fixture
def asked(data_dir, tmp_path):
    def make(agent: str = "waiter", **fields: object) -> EvalRequest:
        given = {"seeds": 3, "workers": 2, "limits": Limits(time_s=120), **fields}
        return EvalRequest((agent,), (DIABETES,), data_dir, tmp_path / "runs", **given)  # type: ignore[arg-type]

    return make


class UnderWay:
    """An evaluation in a thread of its own."""

    def __init__(self, request: EvalRequest, registry: Registry) -> None:
        self.registry, self.stop, self.report = registry, Stop(), None
        self.thread = threading.Thread(target=self._run, args=(request,))
        self.thread.start()

    def _run(self, request: EvalRequest) -> None:
        self.report = evaluate(request, self.registry, stop=self.stop)

    def ended(self):
        self.thread.join(timeout=100)
        assert self.report is not None
        return self.report


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(group: Path) -> dict[int, str]:
    return {int(p.parent.name): json.loads(p.read_text())["status"] for p in group.glob("*/*/*/run.json")}


def running(tmp_path: Path, *seeds: int):
    """Waits until these runs' agents have handed in."""
    handed_in = "/".join(["runs/*/*/*/{}", "work/home/submission/submission.csv"])
    wait_for(lambda: all(list(tmp_path.glob(handed_in.format(seed))) for seed in seeds))
    (group,) = (tmp_path / "runs").iterdir()
    return group


CANCEL = "import sys, pathlib; from mleb_core.cancel import cancel_runs; from mleb_core.registry import Registry; "
CANCEL += "print(*cancel_runs(pathlib.Path(sys.argv[1]), sys.argv[2:], Registry()), sep='\\n')"


def test_a_run_under_way_and_a_waiting_one_are_cancelled_from_another_process(registry, asked, tmp_path):
    under_way = UnderWay(asked(), registry)
    group = running(tmp_path, 0, 1)
    names = [f"{DIABETES}/waiter/0", f"{DIABETES}/waiter/2"]
    result = subprocess.run([sys.executable, "-c", CANCEL, group, *names], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"{DIABETES} waiter seed {seed}" for seed in (0, 2)]
    wait_for(lambda: states(group).get(0) == states(group).get(2) == "cancelled")
    assert states(group)[1] == "running"  # the group goes on
    (tmp_path / "gate").touch()
    report = under_way.ended()
    assert states(group) == {0: "cancelled", 1: "finished", 2: "cancelled"}
    assert (report.counts.cancelled, report.counts.graded, report.counts.missing) == (2, 1, 2)
    assert report.agents[0].counts.cancelled == 2
    assert {(run.key.seed, run.cause, run.note) for run in report.missing} == {
        (0, "cancelled", "cancelled by a person"), (2, "cancelled", "cancelled by a person"),
    }  # fmt: skip
    seed_0 = GroupLayout(group).run(DIABETES, "waiter", 0)
    assert seed_0.submission.is_file(), "what it had handed in is kept, though not graded"
    assert not list(group.glob("*/*/*/cancel")) and not list(group.glob("*/*/*/work"))
    # --resume leaves them alone, unless it is taken back.
    assert resume(group, registry).counts == report.counts
    assert restore_runs(group, [names[1]]) == [key for key in report.group.run_keys() if key.seed == 2]
    again = resume(group, registry)
    assert states(group) == {0: "cancelled", 1: "finished", 2: "finished"}
    assert (again.counts.cancelled, again.counts.valid) == (1, 2)


def test_a_stopped_groups_runs_are_cancelled_on_the_spot(registry, asked, tmp_path):
    under_way = UnderWay(asked(), registry)
    group = running(tmp_path, 0, 1)
    under_way.stop.set()
    under_way.ended()
    assert states(group) == {0: "interrupted", 1: "interrupted"}
    (tmp_path / "gate").touch()
    assert len(cancel_runs(group, [f"{DIABETES}/waiter/0"], registry)) == 1
    assert states(group) == {0: "cancelled", 1: "interrupted"}
    assert json.loads((group / "report.json").read_text())["counts"]["cancelled"] == 1
    assert cancel_runs(group, [f"{DIABETES}/waiter/0"], registry) == []
    report = resume(group, registry)
    assert states(group) == {0: "cancelled", 1: "finished", 2: "finished"}
    assert report.counts.cancelled == 1
    assert cancel_runs(group, [], registry) == []  # what has ended stays as it is
    assert states(group) == {0: "cancelled", 1: "finished", 2: "finished"}


HARNESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_cancel import DIABETES, Limits, EvalRequest, evaluate, registry_with
data, root = Path(sys.argv[2]), Path(sys.argv[3])
asked = EvalRequest(("waiter",), (DIABETES,), data, root / "runs", limits=Limits(time_s=120))
evaluate(asked, registry_with(root / "gate"))
"""


def test_what_a_dead_harness_left_running_is_ended(registry, data_dir, tmp_path, group_members):
    here = str(Path(__file__).parent)
    harness = subprocess.Popen([sys.executable, "-c", HARNESS, here, data_dir, tmp_path])
    group = running(tmp_path, 0)
    harness.kill()
    harness.wait()
    assert group_members(group)
    assert states(group) == {0: "running"}
    cancel_runs(group, [], registry)
    assert states(group) == {0: "cancelled"}
    assert not group_members(group)


@pytest.fixture
def group_members():
    """Finds processes that work in a group's directory."""

    def find(group: Path) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(group).encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                    found.append(int(process.name))
            except OSError:
                continue
        return found

    return find


def test_a_run_whose_agent_has_ended_is_graded_all_the_same(registry, asked, tmp_path):
    (tmp_path / "gate").touch()
    stop = Stop()
    touched = []

    def cancel_while_it_is_graded(run: Run) -> None:
        if run.status is RunStatus.GRADING:
            (group,) = (tmp_path / "runs").iterdir()
            GroupLayout(group).run(DIABETES, "dummy", run.key.seed).cancel.touch()
            touched.append(run.key)

    report = evaluate(asked("dummy", seeds=1), registry, stop=stop, on_change=cancel_while_it_is_graded)
    assert touched and report.counts.valid == 1
    assert not list(tmp_path.glob("runs/*/*/*/*/cancel"))


def group_of(*agents: str) -> RunGroup:
    return RunGroup(
        name="g", created_at="", competitions=("iris", "iris@2"), agents=agents, seeds=3, runner="local",
        engine="local", workers=1, limits=Limits(), data_dir="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("iris", [("iris", agent, seed) for seed in range(3) for agent in ("a", "a/2")]),
        ("iris@2/a", [("iris@2", "a", seed) for seed in range(3)]),
        ("iris/a/2", [("iris", "a", 2)]),
        ("iris/a__2", [("iris", "a/2", seed) for seed in range(3)]),
        ("iris/a/2/1/", [("iris", "a/2", 1)]),
        ("iris/a__2/0", [("iris", "a/2", 0)]),
    ],
)
def test_runs_are_named_by_ids_and_by_directories(text, found):
    keys = runs_named(group_of("a", "a/2"), [text])
    assert [(key.competition, key.agent, key.seed) for key in keys] == found
    assert len(runs_named(group_of("a", "a/2"), [])) == 12


@pytest.mark.parametrize("text", ["iriss", "iris/b", "iris/a/3", "", "."])
def test_runs_that_are_not_in_the_group_are_told(text):
    with pytest.raises(UnknownIdError):
        runs_named(group_of("a"), ["iris", text])


def test_what_is_no_group_cannot_be_cancelled(registry, tmp_path):
    for act in (lambda: cancel_runs(tmp_path / "x", [], registry), lambda: restore_runs(tmp_path / "x", [])):
        with pytest.raises(RunGroupError, match="no such directory"):
            act()


def test_a_stop_reaches_its_children_and_a_child_nobody_else():
    parent = Stop()
    calls = []
    first, second = parent.child(), parent.child(asked=lambda: bool(calls.append(1)) or len(calls) > 1)
    first.set()
    assert (first.is_set(), second.is_set(), parent.is_set()) == (True, False, False)
    assert not any(second.is_set() for _ in range(1000)) and len(calls) == 1  # looks at most once a second
    wait_for(second.is_set)
    assert len(calls) == 2 and second.event.is_set() and not parent.is_set()
    asked = []
    grandchild = parent.child(asked=lambda: bool(asked)).child(asked=lambda: False)
    assert not grandchild.is_set()
    asked.append(1)
    wait_for(grandchild.is_set)
    third = parent.child()
    parent.set()
    assert third.is_set() and third.event.is_set()
    assert parent.child().is_set()
