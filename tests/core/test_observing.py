"""Observers: told everything, and never in the way of a run."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import mleb_core
import mleb_core.run
from mleb_core.errors import UnknownIdError, UsageError
from mleb_core.evaluate import EvalRequest, evaluate, resume
from mleb_core.layout import GroupLayout
from mleb_core.observing import relay
from mleb_core.plugins import PluginManager, load_plugins
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.build import config_digest
from mleb_core.report.collect import load_group
from mleb_core.run import Limits, RunStatus
from mleb_core.runner.protocol import Stop

DIABETES = "diabetes-progression"
PLUGIN = Path(__file__).parents[1] / "fixtures/observers"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def registry(monkeypatch) -> Registry:
    """All plugins, with the observers of these tests; observers' processes find them as well, and may start slowly."""
    monkeypatch.setattr(relay, "HASTE_S", 120.0)
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return Registry(load_plugins())


@pytest.fixture
def run_group(registry, data_dir, tmp_path):
    """Run a group with observers. Gives the report, its directory's layout, and what the user was told."""

    def run(observers, **options):
        told: list[str] = []
        request = EvalRequest(
            ("dummy",), (DIABETES,), data_dir, tmp_path / "runs", seeds=2, limits=Limits(time_s=60), observers=observers
        )
        report = evaluate(request, registry, on_notice=told.append, **options)
        return report, GroupLayout(tmp_path / "runs" / report.group.name), told

    return run


def calls(layout: GroupLayout) -> list[dict]:
    return [json.loads(line) for line in (layout.observer("recorder") / "calls.jsonl").read_text().splitlines()]


def is_alive(layout: GroupLayout, id: str) -> bool:
    try:
        os.kill(int((layout.observer(id) / "pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def test_an_observer_is_told_of_every_step_and_result(run_group):
    report, layout, told = run_group({"recorder": {"word": "blue"}})
    assert not [line for line in told if "observer" in line]
    seen = calls(layout)
    assert seen[0] == {"call": "open", "word": "blue", "group": report.group.name}
    for seed in (0, 1):
        statuses = [call["status"] for call in seen if call["call"] == "changed" and call["seed"] == seed]
        assert statuses == ["preparing", "running", "grading", "finished"]
        (finished,) = [call for call in seen if call["call"] == "finished" and call["seed"] == seed]
        (run,) = [run for run in report.runs if run.key.seed == seed]
        assert finished["score"] == run.competition_report.score
        assert finished["there"]
    assert seen[-1] == {"call": "close", "graded": 2}
    group = load_group(layout.root)
    assert group.observers == {"recorder": {"word": "blue"}}
    # Who is told is no part of what is measured.
    assert report.config_digest == config_digest(group.model_copy(update={"observers": {}}))


def test_observers_that_fail_cost_a_line_each_and_nothing_else(run_group):
    expected = {
        "ill-at-open": "1 of its calls failed, the first: open: ValueError: ill",
        "ill": "8 of its calls failed, the first: run_changed",
        "leaving": "of its calls failed, the first: run_finished",
        "crashing": "its process ended with code 9",
    }
    report, layout, told = run_group({**{id: {} for id in expected}, "recorder": {}})
    assert report.counts.graded == report.counts.valid == 2
    assert [run.status for run in report.runs] == [RunStatus.FINISHED] * 2
    lines = [line for line in told if line.startswith("observer ")]
    assert len(lines) == len(expected)
    for line, (id, words) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f"observer {id}: ")
        assert words in line
        assert "\n" not in line
    assert calls(layout)[-1] == {"call": "close", "graded": 2}  # the one that is well missed nothing


def test_observers_that_hang_are_ended_once_the_group_is_over(run_group, monkeypatch):
    monkeypatch.setattr(relay, "PATIENCE_S", 2.0)
    report, layout, told = run_group({"stuck-at-open": {}, "stuck": {}})
    assert report.counts.graded == 2
    lines = [line for line in told if line.startswith("observer ")]
    assert len(lines) == 2
    for id in ("stuck-at-open", "stuck"):
        assert any(f"observer {id}: did not finish within 2 s and was ended" in line for line in lines)
        assert not (layout.observer(id) / "pid").exists() or not is_alive(layout, id)


def test_a_stuck_observer_is_fed_without_waiting(registry, run_group, monkeypatch):
    """More changes than any pipe holds come back at once; the queue has a limit of its own."""
    monkeypatch.setattr(relay, "PATIENCE_S", 1.0)
    report, layout, _ = run_group({})
    group = report.group.model_copy(update={"observers": {"stuck-at-open": {}}})
    layout.group.write_text(group.model_dump_json())
    told: list[str] = []
    run = mleb_core.run.Run.model_validate_json(next(layout.runs()).run.read_bytes())
    with relay.Observing(group, layout, told.append) as observing:
        observing.start()
        for _ in range(relay._MOST_WAITING + 5000):
            observing.changed(run)
        assert observing._relays[0]._queue.qsize() <= relay._MOST_WAITING
        observing.end(finished=True)
    assert len(told) == 1


def test_what_could_not_be_told_is_told_again_at_the_end_and_no_key_is_kept(run_group, monkeypatch):
    monkeypatch.setenv("OBSERVING_TEST_TOKEN", "b1gs3cretvalue")
    _, layout, told = run_group({"recorder": {"fails_on": 1}, "printing": {}})
    assert layout.observer_log("printing").stat().st_size > 3_000_000  # who prints much is not held up by it
    assert not [line for line in told if line.startswith("observer printing")]
    finished = [call["seed"] for call in calls(layout) if call["call"] == "finished"]
    assert sorted(finished) == [0, 1]
    failure = layout.observer_failures("recorder").read_text()
    assert "no room; the key was [hidden]" in failure
    assert "b1gs3cret" not in failure + "".join(told)


def test_an_interrupted_group_is_observed_on_after_resume_and_each_run_told_once(registry, run_group):
    stop = Stop()

    def stop_after_first(run):
        if run.status is RunStatus.FINISHED:
            stop.set()

    _, layout, _ = run_group({"recorder": {}}, stop=stop, on_change=stop_after_first)
    assert calls(layout)[-1] == {"call": "close", "graded": None}
    report = resume(layout.root, registry)
    assert report.counts.graded == 2
    seen = calls(layout)
    assert [call["call"] for call in seen].count("open") == 2
    assert sorted(call["seed"] for call in seen if call["call"] == "finished") == [0, 1]
    assert seen[-1] == {"call": "close", "graded": 2}


def test_the_session_is_closed_where_the_harness_is_gone(registry, run_group):
    report, layout, _ = run_group({})
    group = report.group.model_copy(update={"observers": {"recorder": {}}})
    layout.group.write_text(group.model_dump_json())
    layout.observer("recorder").mkdir(parents=True)
    command = [sys.executable, "-m", "mleb_core.observing.worker", "recorder", str(layout.root)]
    assert subprocess.run(command, input=b"", timeout=120).returncode == 0
    assert [call["call"] for call in calls(layout)] == ["open", "finished", "finished", "close"]
    assert calls(layout)[-1]["graded"] is None


@pytest.mark.parametrize(
    ("observers", "error", "told"),
    [
        ({"recordr": {}}, UnknownIdError, "did you mean recorder"),
        ({"recorder": {"word": "wrong"}}, UsageError, "this word is wrong"),
        ({"recorder": {"words": "x"}}, UsageError, r"setting recorder\.words"),
        ({"ill": {"a": 1}}, UsageError, "has no settings"),
    ],
)
def test_what_cannot_be_observed_is_refused_before_anything_runs(run_group, tmp_path, observers, error, told):
    with pytest.raises(error, match=told):
        run_group(observers)
    assert not (tmp_path / "runs").exists()


class Hooks:
    """Observing hooks in the harness's own process."""

    def __init__(self, how):
        self.how, self.called = how, 0

    @mleb_core.hookimpl
    def mleb_run_started(self, run):
        self.called += 1
        self.how()


def test_a_hook_that_hangs_is_left_to_itself_and_not_called_again():
    manager, over, good = PluginManager(), threading.Event(), Hooks(lambda: None)
    bad = Hooks(over.wait)
    manager.register(bad, "bad")
    manager.register(good, "good")
    try:
        (failure,) = manager.observe("mleb_run_started", within_s=2, run=None)
        assert failure == "plugin bad: mleb_run_started took longer than 2 s and is not called again"
        assert manager.observe("mleb_run_started", within_s=60, run=None) == []
        assert (bad.called, good.called) == (1, 2)
    finally:
        over.set()


@pytest.mark.parametrize("error", [ValueError("ill"), SystemExit(3), KeyboardInterrupt()])
def test_a_hook_that_raises_whatever_it_likes_is_told(error):
    def how():
        raise error

    manager = PluginManager()
    manager.register(Hooks(how), "bad")
    (failure,) = manager.observe("mleb_run_started", within_s=60, run=None)
    assert "plugin bad: mleb_run_started failed" in failure
    assert type(error).__name__ in failure
