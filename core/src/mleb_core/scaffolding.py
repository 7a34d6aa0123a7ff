"""What most scaffolds do in `launch`: check variant, model and settings, and refuse in one line what they do not take.

    def launch(self, context):
        model_of(self, context)
        settings = settings_of(self, context)
        return Launch([context.python, "-m", "mleb_mine.agent"], env={"MINE_SETTINGS": json.dumps(settings)})

Each raises UsageError, which mleb shows before any run has begun.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mleb_core.agent import LaunchContext, Scaffold
from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["model_of", "no_model", "no_variant", "settings_of", "validated"]


def no_variant(scaffold: Scaffold, context: LaunchContext) -> None:
    """For a scaffold without variants.

    Raises:
        UsageError: there is one in the agent's id.
    """
    if context.variant is not None:
        name = scaffold.id
        raise UsageError(f"the agent {name} has no variants, got {name}/{context.variant}; use {name}")


def no_model(scaffold: Scaffold, context: LaunchContext) -> None:
    """For a scaffold without a language model.

    Raises:
        UsageError: one was asked for.
    """
    if context.model is not None:
        raise UsageError(f"the agent {scaffold.id} takes no model, got {context.model!r}; leave --model out")


def model_of(scaffold: Scaffold, context: LaunchContext, variants: Mapping[str, str] | None = None) -> str:
    """The model that the agent works with: the one asked for, or the one that its variant stands for.

    Args:
        scaffold: whose agent.
        context: what was asked for.
        variants: models, `provider/name`, by variant; none where it has no variants.

    Raises:
        UsageError: an unknown variant, a variant and a model, or neither.
    """
    name, known = scaffold.id, dict(variants or {})
    if not known:
        no_variant(scaffold, context)
    listed = ", ".join(f"{name}/{variant}" for variant in known)
    if context.variant is not None and context.variant not in known:
        raise UsageError(
            f"no variant {name}/{context.variant}; there are {listed}, or use {name} --model PROVIDER/NAME"
        )
    if context.variant is not None and context.model is not None:
        stands_for = known[context.variant]
        raise UsageError(f"{name}/{context.variant} stands for {stands_for}; for {context.model} use plain {name}")
    if context.model is not None:
        return context.model
    if context.variant is None:
        further = f", or one of {listed}" if listed else ", such as openai/gpt-4o"
        raise UsageError(f"the agent {name} needs a model; use --model PROVIDER/NAME{further}")
    return known[context.variant]


def settings_of(scaffold: Scaffold, context: LaunchContext) -> dict[str, Any]:
    """All settings of the scaffold's `settings_type`, defaults filled in, as JSON can hold them.

    A setting `steps` is at most the run's step limit.

    Raises:
        UsageError: one is unknown or wrong.
    """
    settings_type: type[BaseModel] = scaffold.settings_type  # type: ignore[attr-defined]
    settings: dict[str, Any] = validated(scaffold.id, settings_type, context.settings).model_dump(mode="json")
    if context.step_limit is not None and "steps" in settings:
        settings["steps"] = min(settings["steps"], context.step_limit)
    return settings


def validated(agent: str, settings_type: "type[BaseModel]", settings: Mapping[str, Any]) -> "BaseModel":
    """Settings as their model holds them.

    Args:
        agent: the agent's id, for the message.
        settings_type: their model.
        settings: what was asked for.

    Raises:
        UsageError: one is unknown or wrong.
    """
    from pydantic import ValidationError

    try:
        model = settings_type.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing":
            raise UsageError(f"setting agent.{name} of {agent} is required; use --set agent.{name}=VALUE") from None
        if not name:  # all of them together
            raise UsageError(f"settings of {agent}: {message}") from None
        raise UsageError(f"setting agent.{name} of {agent}: {message}, got {first['input']!r:.60}") from None
    for name, value in model.model_dump(exclude_unset=True).items():
        if not _finite(value):  # JSON has no such number, and a group that goes on reads its settings from JSON
            raise UsageError(f"setting agent.{name} of {agent}: a finite number is expected, got {value!r:.60}")
    return model


def _finite(value: object) -> bool:
    """Whether no number of a setting is infinite or none at all."""
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
