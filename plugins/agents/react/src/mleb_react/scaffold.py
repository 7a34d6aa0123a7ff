"""What the harness knows of the ReAct agent: its settings, and how to start it."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mleb_core.agent import Launch, LaunchContext
from mleb_core.scaffolding import model_of, settings_of

if TYPE_CHECKING:
    from mleb_react.settings import Settings

__all__ = ["React"]


class React:
    """Thinks, runs a shell command, reads what it printed, and so on."""

    id = "react"
    summary = "A language model that runs shell commands, one at a time; the example for plugin authors."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_react.settings import Settings

        return Settings

    def variants(self) -> Iterable[str]:
        """None: the model is asked for with --model."""
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        """Start `python -m mleb_react.agent`, with the settings as JSON in REACT_SETTINGS.

        Raises:
            UsageError: a variant was given, or no model.
        """
        model_of(self, context)
        settings = settings_of(self, context)
        return Launch([context.python, "-m", "mleb_react.agent"], env={"REACT_SETTINGS": json.dumps(settings)})
