"""What other systems are told of a run, and what they are never told."""

import json
from pathlib import Path

import pytest

from mleb_core.layout import RunLayout
from mleb_core.observing.facts import (
    HIDDEN,
    clean_report,
    clean_text,
    group_config,
    resource_series,
    run_config,
    run_results,
    snapshot_series,
)
from mleb_core.report.build import run_report
from mleb_core.report.models import RunReport
from mleb_core.run import Limits, Outcome, Run, RunGroup, RunKey, RunStatus
from mleb_core.terms import Budget, Terms

SECRET = "zx81-very-secret-value"
KEY = RunKey(competition="iris@2", agent="react/small", seed=3)


@pytest.fixture
def group(monkeypatch) -> RunGroup:
    monkeypatch.setenv("SOME_API_KEY", SECRET)
    monkeypatch.setenv("OTHER_TOKEN", "short")
    return RunGroup(
        name="g",
        created_at="2026-01-01T00:00:00+00:00",
        competitions=("iris@2",),
        agents=("react/small",),
        seeds=4,
        runner="local",
        engine="local",
        workers=2,
        limits=Limits(time_s=60, steps=7),
        terms=Terms(budget=Budget(tokens=1000), record="/somewhere"),
        data_dir="/data",
        digests={"iris@2": "abc"},
        plugins={"mleb-core": "0.1.0"},
        settings={
            "steps": 7,
            "api_key": "plain",
            "max_tokens": 50,
            "nested": {"password": "p", "url": f"https://u:pw12@host/{SECRET}"},
            "headers": [{"Authorization": "Bearer x"}, "sk-abcdefghijklmnop1234"],
        },
    )


def make_run(message: str = "") -> Run:
    outcome = Outcome(status=RunStatus.FINISHED, message=message, runtime_s=1.5, exit_code=0)
    return Run(key=KEY, group="g", status=RunStatus.FINISHED, attempt=2, outcome=outcome, created_at="2026-01-01")


def test_configuration_is_flat_and_says_what_was_run(group):
    config = run_config(group, make_run())
    expected = {
        "competition": "iris", "edition": 2, "agent": "react/small", "scaffold": "react", "variant": "small", "seed": 3,
        "attempt": 2, "data_digest": "abc", "limits.time_s": 60.0, "limits.steps": 7, "terms.budget.tokens": 1000,
        "agent_settings.steps": 7, "agent_settings.max_tokens": 50, "plugins.mleb-core": "0.1.0", "runner": "local",
    }  # fmt: skip
    assert {name: config.get(name) for name in expected} == expected
    assert all(isinstance(value, str | int | float) for value in config.values())


def test_no_secret_of_the_environment_or_the_settings_is_told(group):
    config = group_config(group)
    assert config["agent_settings.api_key"] == config["agent_settings.nested.password"] == HIDDEN
    assert config["agent_settings.nested.url"] == f"https://{HIDDEN}@host/{HIDDEN}"
    assert json.loads(str(config["agent_settings.headers"])) == [{"Authorization": HIDDEN}, HIDDEN]
    run = make_run(f"died with {SECRET}")
    report = run_report(run, None)
    results = run_results(report, RunLayout(Path("/nowhere")))
    assert results["message"] == f"died with {HIDDEN}"
    assert SECRET not in clean_report(report)
    assert RunReport.model_validate_json(clean_report(report)).key == KEY
    assert clean_text("a short token stays short") == "a short token stays short"


def test_results_and_series_come_from_the_run_s_files(tmp_path):
    place = RunLayout(tmp_path)
    usage = {"format_version": 1, "requests": 4, "tokens": {"input": 100, "output": 20, "cached": 10}, "cost_usd": 0.25}
    place.usage.write_text(json.dumps(usage))
    gpus = [{"id": "GPU-1", "utilization_percent": [90, 95], "memory_bytes": [5, None], "power_w": [1.5, 2]}]
    resources = {
        "format_version": 1,
        "t_s": [1.0, 2.0],
        "cpu_cores": [0.5, None],
        "memory_bytes": [10, 20],
        "gpus": gpus,
    }
    place.resources.write_text(json.dumps(resources))
    place.snapshot_scores.write_text(json.dumps({"snapshots": [{"elapsed_s": 5, "score": 0.5}, {"elapsed_s": 9}]}))
    results = run_results(run_report(make_run(), None), place)
    expected = {"tokens/input": 100, "tokens/total": 120, "cost_usd": 0.25, "models/requests": 4, "runtime_s": 1.5}
    assert {name: results.get(name) for name in expected} == expected
    assert results["status"] == "finished"
    first, second = resource_series(place)
    assert first == (
        1.0,
        {
            "resources/cpu_cores": 0.5,
            "resources/memory_bytes": 10.0,
            "resources/gpu0/utilization_percent": 90.0,
            "resources/gpu0/memory_bytes": 5.0,
            "resources/gpu0/power_w": 1.5,
        },
    )
    assert "resources/cpu_cores" not in second[1]
    assert snapshot_series(place) == [(5.0, {"snapshots/score": 0.5})]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"format_version": 1, "t_s": 3, "gpus": [1], "tokens": []}'])
def test_damaged_files_give_less_and_never_an_error(tmp_path, content):
    place = RunLayout(tmp_path)
    for path in (place.usage, place.resources, place.snapshot_scores):
        path.write_bytes(content)
    assert run_results(run_report(make_run(), None), place)["status"] == "finished"
    assert resource_series(place) == snapshot_series(place) == []
