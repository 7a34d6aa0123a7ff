"""What scaffolds check before they answer: each refusal is one line that names the agent and the way out."""

from pathlib import PurePosixPath

import pytest
from pydantic import BaseModel, ConfigDict, Field

from mleb_core import AgentPaths, Launch, LaunchContext, UsageError
from mleb_core.scaffolding import model_of, no_model, no_variant, settings_of

VARIANTS = {"large": "lab/large-2026", "small": "lab/small-2026"}


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int = Field(default=50, ge=1)
    names: tuple[str, ...] = ("a",)


class Own:
    id = "own"
    summary = "For tests."
    settings_type = Settings

    def variants(self):
        return tuple(VARIANTS)

    def launch(self, context):
        return Launch(["true"])


def context(**changes):
    place = PurePosixPath("/x")
    given = {"variant": None, "model": None, "settings": {}, "step_limit": None} | changes
    paths = AgentPaths(place, place, place, place, place, place)
    return LaunchContext("c", 0, time_limit_s=1, paths=paths, python="python", **given)


def test_a_model_is_the_one_asked_for_or_the_variants():
    assert model_of(Own(), context(model="lab/any")) == "lab/any"
    assert model_of(Own(), context(model="lab/any"), VARIANTS) == "lab/any"
    assert model_of(Own(), context(variant="small"), VARIANTS) == "lab/small-2026"


@pytest.mark.parametrize(
    ("changes", "variants", "told"),
    [
        ({}, {}, "the agent own needs a model; use --model PROVIDER/NAME, such as openai/gpt-4o"),
        ({}, VARIANTS, "the agent own needs a model; use --model PROVIDER/NAME, or one of own/large, own/small"),
        ({"variant": "x"}, {}, "the agent own has no variants, got own/x; use own"),
        ({"variant": "x"}, VARIANTS, "no variant own/x; there are own/large, own/small, or use own --model"),
        ({"variant": "large", "model": "lab/any"}, VARIANTS, "own/large stands for lab/large-2026; for lab/any use"),
    ],
)
def test_what_is_no_model_is_refused(changes, variants, told):
    with pytest.raises(UsageError) as refused:
        model_of(Own(), context(**changes), variants)
    assert str(refused.value).startswith(told)
    assert "\n" not in str(refused.value)


def test_scaffolds_without_variants_or_models_say_so():
    no_variant(Own(), context(model="lab/any"))
    no_model(Own(), context(variant="large"))
    with pytest.raises(UsageError, match="the agent own has no variants, got own/large; use own"):
        no_variant(Own(), context(variant="large"))
    with pytest.raises(UsageError, match="the agent own takes no model, got 'lab/any'; leave --model out"):
        no_model(Own(), context(model="lab/any"))


def test_settings_are_filled_in_and_steps_limited():
    assert settings_of(Own(), context()) == {"steps": 50, "names": ["a"]}
    assert settings_of(Own(), context(step_limit=7, settings={"names": ("b", "c")})) == {
        "steps": 7,
        "names": ["b", "c"],
    }
    assert settings_of(Own(), context(step_limit=99))["steps"] == 50


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("speed", 1)])
def test_wrong_settings_are_told_by_name(name, value):
    with pytest.raises(UsageError, match=rf"^setting agent\.{name} of own: .*, got {value}$"):
        settings_of(Own(), context(settings={name: value}))
