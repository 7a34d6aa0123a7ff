"""What the harness knows of OpenHands: ids, models, settings, image; and what its program says at its end."""

import json
from pathlib import PurePosixPath

import pytest

from mleb_core import AgentPaths, LaunchContext, UsageError
from mleb_core.agent import environment_of, image_of
from mleb_core.evaluate import EvalRequest, plan
from mleb_core.runner.docker.images_context import scaffold_context
from mleb_opendevin.program.ends import State
from mleb_opendevin.program.events import command, cut
from mleb_opendevin.program.faults import Over, cause
from mleb_opendevin.program.run import verdict
from mleb_opendevin.scaffold import ALONE, IN_IMAGE, OpenHands

HOME = PurePosixPath("/home")
BOTH = pytest.mark.parametrize("name", ["opendevin", "openhands"])


def settings_of(name="opendevin", **changes):
    paths = AgentPaths(HOME / "agent", *(HOME / place for place in ("data", "submission", "code", "logs", "text")))
    given = {"variant": None, "model": None, "settings": {}, "step_limit": None, "python": "python3"} | changes
    launch = OpenHands(name).launch(LaunchContext("c", 0, time_limit_s=60, paths=paths, **given))
    assert {"inside.py", "run.py"} <= {PurePosixPath(path).name for path in launch.files}
    return json.loads(launch.env["OPENDEVIN_SETTINGS"])


@BOTH
def test_two_ids_are_one_program(registry, name):
    scaffold, agent = registry.scaffold(f"{name}/gpt-4o")
    assert (scaffold.id, str(agent)) == (name, f"{name}/gpt-4o")
    assert scaffold.models("gpt-4o") == "openai/gpt-4o-2024-08-06"
    settings = settings_of(name, variant="gpt-4o")
    assert (settings["name"], settings["model"], settings["steps"]) == (name, "openai/gpt-4o-2024-08-06", 500)


def test_a_step_limit_holds_and_an_image_has_its_own_libraries():
    asked = {"model": "lab/small", "settings": {"steps": 50}}
    assert [settings_of(**asked, step_limit=limit)["steps"] for limit in (7, 70)] == [7, 50]
    assert settings_of(**asked)["own_python"] and not settings_of(**asked, python=IN_IMAGE)["own_python"]


@BOTH
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "needs a model"),
        ({"variant": "gpt-2"}, "{name}/gpt-4o"),
        ({"variant": "gpt-4o", "model": "lab/small"}, "plain {name}"),
        ({"model": "a/b", "python": IN_IMAGE, "settings": {"packages": ["x==1"]}}, "local runner"),
    ],
)
def test_what_cannot_be_launched_is_refused(name, changes, told):
    with pytest.raises(UsageError, match=told.format(name=name)):
        settings_of(name, **changes)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("packages", ["lightgbm"]), ("max_steps", 1)])
def test_wrong_settings_are_refused_before_anything_starts(registry, tmp_path, name, value):
    asked = EvalRequest(("openhands",), ("diabetes-progression",), tmp_path, tmp_path / "runs", settings={name: value})
    with pytest.raises(UsageError, match=name):
        plan(asked, registry)


def test_openhands_is_pinned_in_image_and_environment():
    scaffold = OpenHands("opendevin")
    image, environment = image_of(scaffold), environment_of(scaffold, {"packages": ("lightgbm==4.7.0",)})
    assert environment.alone == ALONE and {"openhands-sdk==1.58.0", "openhands-tools==1.58.0"} < set(ALONE)
    assert (environment.least, environment.most) == ((3, 12), (3, 13))
    assert set(image.requirements) < set(environment.requirements)
    assert "lightgbm==4.7.0" in set(environment.requirements) - set(image.requirements)
    context = scaffold_context(scaffold, "sha256:0")
    assert context.network and all(line in context.dockerfile for line in ALONE)


@pytest.mark.parametrize(
    ("reason", "end", "submitted", "code", "told"),
    [
        ("ended", "finish", True, 0, "finished after 4 steps; submission.csv is handed in"),
        ("ended", "steps", False, 1, "all steps are used, 4 steps; no submission"),
        ("ended", "budget", True, 0, "the budget is reached (why) after 4 steps; submission.csv is"),
        ("ended", "model", True, 1, "the model cannot be asked (why) after 4 steps; submission.csv is"),
        ("ended", "crash", False, 1, "crashed after 4 steps (why); no submission"),
        ("ended", "", True, 1, "crashed after 4 steps (its process was killed); submission.csv is"),
        ("time", "", True, 0, "time is up after 4 steps; submission.csv is"),
        ("time", "", False, 1, "time is up after 4 steps; no submission"),
        ("stopped", "", True, 1, "stopped after 4 steps; submission.csv is"),
    ],
)
def test_how_it_ended_is_told_in_one_line(tmp_path, reason, end, submitted, code, told):
    written = State(tmp_path / "state.json")
    written.steps = 4
    written.write(end, "why" if end else "")
    state = State(tmp_path / "state.json")
    state.read()
    line, exit_code = verdict(state, reason, submitted)
    assert line.startswith(told)
    assert (exit_code, len(line.splitlines())) == (code, 1)


def test_what_is_no_fault_of_a_model_is_a_crash():
    error = RuntimeError("no\nroom")
    error.__cause__ = KeyError("x")
    over = cause(error, "lab/small")
    assert (over.end, str(over)) == ("crash", "RuntimeError: no\nroom")
    error.__cause__.__cause__ = Over("budget", "all used")
    assert (cause(error, "lab/small").end, str(cause(error, "lab/small"))) == ("budget", "all used")


def test_the_log_shows_commands_as_people_read_them():
    assert command('{"command": "ls", "timeout": 3, "security_risk": "LOW"}') == "ls\ntimeout: 3"
    assert command('{"comm') == '{"comm' and command("[1]") == "[1]"
    assert len(cut("x" * 99_999)) < 4_100
