"""The file of a study: what it may say, how arms and axes are crossed, and how it is told what is wrong."""

import pytest

from mleb_core.errors import UnknownIdError, UsageError
from mleb_core.sweep_models import options_given, read_study

WHOLE = """
name = "steps"
title = "Do further steps help?"
baseline = "few_obfuscate-false_gpus-0"

[all]
plugin = "react"
split = "low"
time_limit = "1h30m"
set.agent.history_chars = 5000

[arms.few]
set.agent.steps = 5
max-cost = 2.5
budget = ["requests=10"]

[arms.many]
plugin = ["react", "command"]
competition = ["titanic-survival"]
set.steps = 50
memory-limit = "2GiB"
snapshot-every = 0
record = "kept"

[axes]
obfuscate = [false, true]
gpus = [0, 2]
"""


@pytest.fixture
def study(tmp_path):
    """Reads a study from a text."""

    def read(text, over=None, only=()):
        path = tmp_path / "my study.toml"
        path.write_text(text)
        return read_study(path, options_given(over or {}), only)

    return read


def test_arms_and_axes_are_crossed(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = study(WHOLE)
    assert (found.name, found.title) == ("steps", "Do further steps help?")
    arms = {arm.name: arm.options for arm in found.arms}
    points = ("obfuscate-false_gpus-0", "obfuscate-false_gpus-2", "obfuscate-true_gpus-0", "obfuscate-true_gpus-2")
    assert list(arms) == [f"{arm}_{point}" for arm in ("few", "many") for point in points]
    few, many = arms["few_obfuscate-false_gpus-2"], arms["many_obfuscate-true_gpus-0"]
    assert (few.plugin, few.split, few.competition, few.set) == (
        ("react",),
        "low",
        (),
        {"history_chars": 5000, "steps": 5},
    )
    assert (many.plugin, many.split, many.competition) == (("react", "command"), None, ("titanic-survival",))
    assert many.set == {"history_chars": 5000, "steps": 50}
    assert (few.limits.time_s, few.limits.gpus, many.limits.memory_bytes) == (5400, 2, 2 * 1024**3)
    terms = few.terms("few")
    assert (terms.budget.cost_usd, terms.budget.requests, terms.budget.tokens) == (2.5, 10, None)
    assert (terms.obfuscated, terms.snapshot_s, terms.record) == (False, 600, None)
    assert many.terms("many").snapshot_s is None
    assert many.terms("many").record == str(tmp_path / "kept" / "many")  # so that arms do not mix


def test_what_is_given_for_all_arms_wins(study):
    over = {"competition": ["diabetes-progression"], "gpus": 1, "set": {"steps": 2}, "time_limit": 60.0}
    found = study(WHOLE, over, ("few_obfuscate-true_gpus-2",))
    (arm,) = found.arms
    assert (arm.options.split, arm.options.competition) == (None, ("diabetes-progression",))
    assert (arm.options.gpus, arm.options.limits.time_s) == (1, 60)
    assert arm.options.set == {"history_chars": 5000, "steps": 2}
    assert found.baseline == "few_obfuscate-false_gpus-0" and len(found.left_out) == 7
    assert arm.replaced == ()
    (arm,) = study(
        "[arms.x]\nengine-set.a = 1\nengine-set.b.c = 2", {"engine_set": {"b": {"d": 3}}, "ray_address": "auto"}
    ).arms
    assert arm.options.engine_settings == {"a": 1, "b": {"c": 2, "d": 3}, "address": "auto"}
    assert study(WHOLE, {"plugin": ["dummy"]}).arms[0].replaced == ("react",)
    assert study(WHOLE, {"plugin": ["dummy"], "model": "lab/x"}).arms[0].replaced == ()


def test_axes_alone_make_arms(study):
    found = study(
        '[axes]\nset.agent.steps = [1, 10]\nmodel = ["openai/gpt-4o", "lab/x y"]\nall = 3'.replace("\nall = 3", "")
    )
    assert found.name == "my-study"
    assert [arm.name for arm in found.arms] == [
        "steps-1_model-openai-gpt-4o",
        "steps-1_model-lab-x-y",
        "steps-10_model-openai-gpt-4o",
        "steps-10_model-lab-x-y",
    ]
    assert found.arms[2].options.set == {"steps": 10}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "arms: a table [arms.NAME] for each arm is expected, or [axes]"),
        ("arms = 3", "arms: Input should be a valid dictionary, got 3"),
        ("[arms.x]\nsedes = 3", "arms.x.sedes: no such key; expected one of plugin, model, competition"),
        ("colour = 1\n[arms.x]", "colour: no such key; expected one of name, title, baseline, all, arms, axes"),
        ("[arms.x]\nseeds = 0", "arms.x.seeds: Input should be greater than or equal to 1, got 0"),
        ("[arms.x]\nseeds = true", "arms.x.seeds: "),
        ("[arms.x]\ntime-limit = 'soon'", "arms.x.time-limit: expected such as 90, 30s, 10m, 1h30m or 2d, got 'soon'"),
        ("[arms.x]\ntime-limit = true", "arms.x.time-limit: a number or a text is expected, got True"),
        ("[all]\nmemory-limit = '1 elephant'\n[arms.x]", "all.memory-limit: expected such as 500MB or 8GiB"),
        ("[arms.x]\nbudget = 'tokens=many'", "arms.x.budget: 'tokens=many': expected tokens=N"),
        ("[arms.x]\nmax-cost = -1", "arms.x.max-cost: expected such as 500, 500k or 2M, got -1"),
        ("[arms.x]\nplugin = '../x'", "arms.x.plugin.0: "),
        ("[arms.'a/b']", "arms.a/b"),
        ("[axes]\ngpus = 2", "axes.gpus: a list of values is expected, got 2"),
        ("[axes]\ngpus = []", "axes.gpus: a list of values is expected, got []"),
        ("[axes]\ngpus = [1, 'many']", "axes.gpus: Input should be a valid integer"),
        ("[axes]\nspeed = [1]", "axes.speed: no such key; expected one of plugin, model"),
        ("[axes.set.env]\n'../../x' = [1]", "axes: an arm would be named '/x-1'"),
        (f"[axes]\nmodel = ['{'a' * 200}']", "axes: an arm would be named 'model-aaa"),
        ("[arms.'report.json']", "arms.report.json: another name is expected"),
        ("[axes]\nsteps = [1, 1]", "axes: two arms would be named steps-1"),
        ("name = '../up'\n[arms.x]", "name: String should match pattern"),
        ("[arms.x", "cannot be read: "),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_file_and_key(study, text, words):
    with pytest.raises(UsageError) as told:
        study(text)
    line = str(told.value)
    assert words in line and "my study.toml" in line and "\n" not in line


def test_names_that_no_arm_has(study, tmp_path):
    with pytest.raises(UnknownIdError, match="did you mean x1"):
        study("[arms.x1]", only=("x2",))
    with pytest.raises(UnknownIdError, match="y"):
        study("baseline = 'y'\n[arms.x1]")
    with pytest.raises(UsageError, match="there is no such file"):
        read_study(tmp_path / "nowhere.toml")
    with pytest.raises(UsageError, match="--plugin"):
        options_given({"plugin": ["../x"]})
