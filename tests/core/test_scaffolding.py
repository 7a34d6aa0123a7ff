"""What scaffolds check before they answer: each refusal is one line that names the agent and the way out."""

import math
import re
from pathlib import PurePosixPath

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mleb_core import AgentPaths, Launch, LaunchContext, UsageError
from mleb_core.scaffolding import model_of, no_model, no_variant, settings_of, validated

VARIANTS = {"large": "lab/large-2026", "small": "lab/small-2026"}


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int = Field(default=50, ge=1)
    names: tuple[str, ...] = ("a",)
    rate: float = 1.0


class Needy(BaseModel):
    program: str

    @model_validator(mode="after")
    def _is_here(self):
        raise ValueError(f"there is no {self.program} here")


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
    assert settings_of(Own(), context()) == {"steps": 50, "names": ["a"], "rate": 1.0}
    assert settings_of(Own(), context(step_limit=7, settings={"names": ("b", "c")})) == {
        "steps": 7,
        "names": ["b", "c"],
        "rate": 1.0,
    }
    assert settings_of(Own(), context(step_limit=99))["steps"] == 50


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("speed", 1), ("rate", math.inf), ("rate", "nan")])
def test_wrong_settings_are_told_by_name(name, value):
    with pytest.raises(UsageError, match=rf"^setting agent\.{name} of own: .*, got .*{re.escape(str(value))}.*$"):
        settings_of(Own(), context(settings={name: value}))


def test_settings_that_are_missing_or_wrong_together_are_told_without_the_others():
    with pytest.raises(UsageError) as told:
        validated("own", Needy, {})
    assert str(told.value) == "setting agent.program of own is required; use --set agent.program=VALUE"
    with pytest.raises(UsageError) as told:
        validated("own", Needy, {"program": "sold out"})
    assert str(told.value) == "settings of own: there is no sold out here"
