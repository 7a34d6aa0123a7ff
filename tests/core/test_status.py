"""How a group goes, by its directory alone."""

import json
import threading
from datetime import datetime, timedelta

import pytest

from mleb_core.errors import RunGroupError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, Run, RunGroup, RunStatus, append_event, now
from mleb_core.runner.protocol import Stop
from mleb_core.status import group_status

DIABETES = "diabetes-progression"
COPY = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"'


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


def test_a_group_under_way_and_after(data_dir, tmp_path):
    """One run has ended, one waits for a file, one is in the queue."""
    go = tmp_path / "go"
    command = f'[ "$MLEB_SEED" = 0 ] || while [ ! -e "{go}" ]; do sleep 0.05; done; {COPY}'
    seen, there = [], threading.Event()

    def on_change(run: Run) -> None:
        if run.key.seed == 1 and run.status is RunStatus.RUNNING:
            there.set()

    def evaluated() -> None:
        given = {"settings": {"command": command}, "limits": Limits(time_s=300, grace_s=1), "seeds": 3}
        request = EvalRequest(("command",), (DIABETES,), data_dir, tmp_path / "runs", **given)
        seen.append(evaluate(request, Registry(), on_change=on_change, stop=stop))

    stop = Stop()
    thread = threading.Thread(target=evaluated)
    thread.start()
    try:
        assert there.wait(120)
        (directory,) = (tmp_path / "runs").iterdir()
        status = group_status(directory)
    finally:
        go.touch()
        thread.join()
    assert (status.asked, status.settled, status.waiting, status.at_work) == (3, 1, 1, True)
    assert status.by_status == {"finished": 1, "pending": 1, "running": 1}
    (run,) = status.under_way
    assert (run.key.seed, run.status, run.attempt) == (1, RunStatus.RUNNING, 1)
    assert run.seconds is not None
    assert status.mean_s is not None
    assert datetime.fromisoformat(status.time) <= datetime.fromisoformat(status.estimated_end) + timedelta(seconds=1)
    assert datetime.fromisoformat(status.estimated_end) < datetime.fromisoformat(status.latest_end)
    after = group_status(directory)
    assert (after.settled, after.waiting, after.at_work, after.under_way) == (3, 0, False, ())
    assert (after.estimated_end, after.latest_end) == (None, None)


def test_places_gpus_costs_and_what_was_cut_off(tmp_path):
    group = RunGroup(
        name="g", created_at=now(), competitions=("c",), agents=("a",), seeds=4, runner="docker", engine="ray",
        workers=4, limits=Limits(gpus=2), data_dir="/data",
    )  # fmt: skip
    layout = GroupLayout(tmp_path / "g")
    layout.root.mkdir()
    layout.group.write_text(group.model_dump_json())
    for seed, host in ((0, "one"), (1, "one"), (2, "two")):
        place = layout.run("c", "a", seed)
        place.root.mkdir(parents=True)
        run = Run(key=group.run_keys()[seed], group="g", status=RunStatus.RUNNING, attempt=2, failures=1,
                  created_at=now(), started_at=now())  # fmt: skip
        place.run.write_text(run.model_dump_json())
        append_event(place.events, "placed", node="earlier", host="none", gpus=[])
        append_event(place.events, "placed", node=f"node-{host}", host=host, gpus=["0", "1"])
        tokens = {"input": 100, "output": 20, "cached_input": 0, "cache_write": 0}
        line = {"model": "openai/x", "cost_usd": 0.25, "tokens": tokens, "seconds": 1.0}
        line |= {"estimated": False, "error": None, "retries": 0}
        place.transcript.write_text(json.dumps(line) + "\n")
    status = group_status(layout.root)
    assert (status.hosts, status.gpus, status.failures) == ({"one": 2, "two": 1}, 6, 3)
    assert {(run.node, run.gpus) for run in status.under_way} == {("node-one", ("0", "1")), ("node-two", ("0", "1"))}
    assert (status.at_work, status.waiting, status.mean_s) == (False, 1, None)
    assert (status.requests, status.known_cost_usd) == (3, 0.75)


def test_no_group_is_an_error(tmp_path):
    with pytest.raises(RunGroupError, match="is no run group"):
        group_status(tmp_path)
