"""What the harness knows of the baseline agent: how to start it, and which settings it takes."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mleb_core.agent import Launch, LaunchContext
from mleb_core.scaffolding import no_model, no_variant, settings_of

if TYPE_CHECKING:
    from mleb_baseline.settings import Settings

__all__ = ["Baseline"]


class Baseline:
    """Reads the task, trains scikit-learn models, hands in the best."""

    id = "baseline"
    summary = "Trains scikit-learn models without a language model and hands in the best."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_baseline.settings import Settings

        return Settings

    def variants(self) -> Iterable[str]:
        """None."""
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        """Start `python -m mleb_baseline`, with the settings as JSON in MLEB_SETTINGS.

        Raises:
            UsageError: a variant or a model was given, or a setting is unknown or of the wrong kind.
        """
        no_variant(self, context)
        no_model(self, context)
        settings = settings_of(self, context)
        return Launch([context.python, "-m", "mleb_baseline"], env={"MLEB_SETTINGS": json.dumps(settings)})
