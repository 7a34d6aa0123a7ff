"""What the harness knows of AIDE: ids, models, settings; and what AIDE's program says at its end."""

import json
from pathlib import Path, PurePosixPath

import pytest

from mleb_aide.program.ends import State, one_line
from mleb_aide.program.run import verdict
from mleb_aide.scaffold import Aide
from mleb_core import AgentPaths, LaunchContext, UsageError
from mleb_core.agent import environment_of, image_of
from mleb_core.evaluate import EvalRequest, plan
from mleb_core.runner.docker.images_context import scaffold_context

HOME = PurePosixPath("/home")


def launch(**changes):
    paths = AgentPaths(HOME / "agent", *(HOME / name for name in ("data", "submission", "code", "logs", "text")))
    given = {"variant": None, "model": None, "settings": {}, "step_limit": None, "python": "python3"} | changes
    return Aide().launch(LaunchContext("c", 0, time_limit_s=60, paths=paths, **given))


def settings_of(**changes):
    return json.loads(launch(**changes).env["AIDE_SETTINGS"])


def test_defaults_are_the_published_ones():
    settings = settings_of(model="lab/small")
    names = ("steps", "exec_s", "max_debug_depth", "debug_prob", "num_drafts")
    assert [settings[name] for name in names] == [500, 9 * 3600, 20, 1.0, 5]


def test_variants_stand_for_the_models_of_the_paper(registry):
    for variant in Aide().variants():
        models = registry.scaffold(f"aide/{variant}")[0].models(variant)
        stages = settings_of(variant=variant)["models"]
        assert {stages["code"]["model"], stages["feedback"]["model"]} == set(models) == {"mleb-model", "mleb-feedback"}
        assert models["mleb-feedback"] == "openai/gpt-4o-2024-08-06"
        assert models["mleb-model"] == stages["code"]["name"]


@pytest.mark.parametrize(
    ("model", "role", "temp"),
    [
        ("openai/gpt-4o-2024-08-06", "system", 0.5),
        ("openai/o1-preview", "user", None),
        ("openai/o3", "system", None),
        ("openai/gpt-5.2-mini", "system", None),
        ("anthropic/claude-3-5-sonnet-20240620", "user", 0.5),
        ("lab/o-large", "system", 0.5),
    ],
)
def test_models_are_asked_as_they_can_be(model, role, temp):
    stages = settings_of(model=model)["models"]
    for stage in stages.values():
        assert (stage["model"], stage["role"], stage["temp"]) == ("mleb-model", role, temp)


def test_a_step_limit_holds_and_the_role_can_be_set():
    settings = settings_of(model="openai/o1-preview", step_limit=7, settings={"role": "system"})
    assert (settings["steps"], settings["models"]["code"]["role"]) == (7, "system")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "needs a model"),
        ({"variant": "gpt-2"}, "aide/gpt-4o"),
        ({"variant": "gpt-4o", "model": "lab/small"}, "plain aide"),
        ({"model": "a/b", "python": "/opt/aide/bin/python", "settings": {"packages": ["x==1"]}}, "local runner"),
    ],
)
def test_what_cannot_be_launched_is_refused(changes, told):
    with pytest.raises(UsageError, match=told):
        launch(**changes)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("packages", ["lightgbm"]), ("temperature", 1)])
def test_wrong_settings_are_refused_before_anything_starts(registry, tmp_path, name, value):
    request = EvalRequest(("aide",), ("diabetes-progression",), tmp_path, tmp_path / "runs", settings={name: value})
    with pytest.raises(UsageError, match=name):
        plan(request, registry)


def test_aideml_is_pinned_in_image_and_environment():
    image, environment = image_of(Aide()), environment_of(Aide(), {"packages": ("lightgbm==4.6.0",)})
    assert "aideml==0.2.2" in image.dockerfile and environment.alone == ("aideml==0.2.2",)
    assert set(image.requirements) < set(environment.requirements)
    assert {"numpy==1.26.2", "lightgbm==4.6.0"} <= set(environment.requirements) - set(image.requirements)
    context = scaffold_context(Aide(), "sha256:0")
    assert context.network and "aideml==0.2.2" in context.dockerfile


KEPT = {"step": 3, "metric": 0.5}


@pytest.mark.parametrize(
    ("reason", "end", "kept", "code", "told"),
    [
        ("ended", "steps", KEPT, 0, "4 steps done; handed in the submission of step 3 (metric 0.5)"),
        ("ended", "steps", None, 1, "4 steps done; no submission"),
        ("ended", "budget", KEPT, 0, "the budget is reached (why) after 4 steps; handed in"),
        ("ended", "model", KEPT, 1, "the model cannot be asked (why); handed in"),
        ("ended", "crash", None, 1, "crashed after 4 steps (why); no submission"),
        ("ended", "", KEPT, 1, "crashed after 4 steps (its process was killed); handed in"),
        ("time", "", KEPT, 0, "time is up after 4 steps; handed in"),
        ("time", "", None, 1, "time is up after 4 steps; no submission"),
        ("stopped", "", KEPT, 1, "stopped after 4 steps; handed in"),
    ],
)
def test_how_it_ended_is_told_in_one_line(tmp_path, reason, end, kept, code, told):
    written = State(tmp_path / "state.json")
    written.steps, written.kept = 4, kept
    written.write(end, "why" if end else "")
    state = State(tmp_path / "state.json")
    state.read()
    line, exit_code = verdict(state, reason)
    assert line.startswith(told)
    assert (exit_code, len(line.splitlines())) == (code, 1)


def test_a_state_that_is_not_there_is_none(tmp_path: Path):
    state = State(tmp_path / "none.json")
    state.read()
    assert (state.steps, state.kept, state.end) == (0, None, "")


def test_a_text_becomes_one_short_line():
    assert one_line("a\n b\t c") == "a b c"
    assert len(one_line("x" * 9999)) == 500
