"""Planning, and going on with a group."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import mleb_core
from mleb_core.errors import PluginError, RunGroupError, UsageError
from mleb_core.evaluate import EvalRequest, evaluate, plan, plan_resume, resume
from mleb_core.plugins import load_plugins
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import MOST_RUNS, Limits
from mleb_core.runner.protocol import Stop

DIABETES = "diabetes-progression"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="module")
def data_dir(registry, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(registry.competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def request_for(data_dir, tmp_path):
    def make(**fields: object) -> EvalRequest:
        given = {"agents": ("dummy",), "competitions": (DIABETES,), "limits": Limits(time_s=60), **fields}
        return EvalRequest(data_dir=data_dir, output=tmp_path / "runs", **given)  # type: ignore[arg-type]

    return make


def state(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"agents": ("dummy/turbo",)}, "has no variants"),
        ({"model": "gpt"}, "takes no model"),
        ({"seeds": MOST_RUNS + 1}, "at most 100,000"),
        ({"split": "not UTF-8: \udcff"}, "not UTF-8"),
        ({"limits": Limits(time_s=float("inf"))}, "time limit"),
        ({"limits": Limits(time_s=float("nan"))}, "time limit"),
    ],
)
def test_what_no_run_could_do_is_refused_before_anything_is_written(registry, request_for, tmp_path, fields, told):
    with pytest.raises(UsageError, match=told):
        plan(request_for(**fields), registry)
    assert not (tmp_path / "runs").exists()


class Speechless:
    id = "speechless"
    summary = "Cannot say how it is started."

    def variants(self):
        return ()

    def launch(self, context):
        raise KeyError("no\ncommand")

    @mleb_core.hookimpl
    def mleb_register_agents(self):
        return [self]


def test_a_scaffold_that_cannot_say_its_command_is_told_before_any_run(request_for):
    manager = load_plugins()
    manager.register(Speechless(), "speechless")
    with pytest.raises(PluginError, match="speechless cannot say how it is started: KeyError: 'no"):
        plan(request_for(agents=("speechless",)), Registry(manager))


def test_going_on_with_a_finished_group_changes_nothing(registry, request_for, tmp_path):
    evaluate(request_for(seeds=2), registry)
    (group,) = (tmp_path / "runs").iterdir()
    before = state(group)
    resume(group, registry)
    assert state(group) == before
    assert plan_resume(group, registry)[1] == []
    (group / "report.md").unlink()  # but what is missing is made again
    resume(group, registry)
    assert state(group).keys() == before.keys()


def test_runs_that_another_harness_ended_meanwhile_are_not_run_again(registry, request_for, tmp_path):
    stop = Stop()
    stop.set()
    evaluate(request_for(seeds=2), registry, stop=stop)
    (group,) = (tmp_path / "runs").iterdir()
    assert len(plan_resume(group, registry)[1]) == 2
    # The other harness does all the work after we have looked at the group and before we hold it.
    report = resume(group, registry, on_group=lambda directory, _: resume(directory, registry) and None)
    assert [run.attempt for run in report.runs] == [1, 1]


def test_a_run_whose_state_is_lost_is_run_and_graded_anew(registry, request_for, tmp_path):
    evaluate(request_for(), registry)
    (place,) = (tmp_path / "runs").glob("*/*/*/0")
    document = json.loads((place / "report.json").read_text())
    document["competition_report"]["score"] = 1.0  # of a submission that is no more
    (place / "report.json").write_text(json.dumps(document))
    (place / "run.json").write_text("{")
    (run,) = resume(place.parents[2], registry).runs
    assert run.competition_report.score > 1


def test_a_later_versions_run_is_not_run_again(registry, request_for, tmp_path):
    evaluate(request_for(), registry)
    (place,) = (tmp_path / "runs").glob("*/*/*/0")
    (place / "run.json").write_text('{"format_version": 2, "phase": "over"}')
    before = state(place)
    with pytest.raises(RunGroupError, match="format_version is 2"):
        resume(place.parents[2], registry)
    assert state(place) == before


class Wrecker:
    """Removes the run's own directory, and more of the group where asked to."""

    id = "wrecker"
    summary = "Removes what it stands on."

    def variants(self):
        return ("group",)

    def launch(self, context):
        above = 4 if context.variant == "group" else 1
        code = f"import os, pathlib, shutil; shutil.rmtree(pathlib.Path(os.environ['HOME']).parents[{above}])"
        return mleb_core.Launch([context.python, "-c", code])

    @mleb_core.hookimpl
    def mleb_register_agents(self):
        return [self]


@pytest.fixture
def wrecked() -> Registry:
    manager = load_plugins()
    manager.register(Wrecker(), "wrecker")
    return Registry(manager)


def test_an_agent_that_removes_its_run_costs_no_other(wrecked, request_for):
    report = evaluate(request_for(agents=("wrecker", "dummy"), retries=1), wrecked)
    wrecker, dummy = report.runs
    assert (wrecker.status, wrecker.cause) == ("failed", "sandbox_failure")
    assert "was removed while the run went on" in wrecker.message
    assert dummy.status == "finished" and dummy.graded


def test_an_agent_that_removes_the_group_ends_it_in_one_line(wrecked, request_for):
    with pytest.raises(RunGroupError, match="--resume"):
        evaluate(request_for(agents=("wrecker/group", "dummy")), wrecked)


def test_an_output_whose_path_is_not_utf8_is_used(registry, request_for, tmp_path):
    output = tmp_path / "\udcff"
    report = evaluate(replace(request_for(), output=output), registry)
    assert report.runs[0].graded
    assert len(list(output.glob("*/report.json"))) == 1


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("seeds", 0, "seeds"),
        ("seeds", 10**9, "more than 100,000 runs"),
        ("workers", 0, "workers"),
        ("retries", -1, "retries"),
        ("competitions", [], "competitions"),
        ("competitions", [DIABETES, DIABETES], "twice"),
        ("competitions", ["../../elsewhere"], "competitions.0"),
        ("competitions", ["x@²"], "competitions.0"),
        ("agents", [], "agents"),
        ("agents", ["../x"], "agents.0"),
    ],
)
def test_a_group_that_cannot_be_is_damaged(registry, request_for, tmp_path, field, value, told):
    stop = Stop()
    stop.set()
    evaluate(request_for(), registry, stop=stop)
    (group,) = (tmp_path / "runs").iterdir()
    document = json.loads((group / "group.json").read_text())
    (group / "group.json").write_text(json.dumps({**document, field: value}))
    with pytest.raises(RunGroupError, match=told) as caught:
        plan_resume(group, registry)
    assert str(group / "group.json") in str(caught.value)
