"""What the harness knows of the baseline agent: how to start it, and which settings it takes."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mleb_core.agent import Launch, LaunchContext
from mleb_core.errors import UsageError

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
        if context.variant is not None:
            raise UsageError(f"the agent baseline has no variants, got baseline/{context.variant}; use baseline")
        if context.model is not None:
            raise UsageError(f"the agent baseline takes no language model, got {context.model!r}; leave --model out")
        argv = [context.python, "-m", "mleb_baseline"]
        if not context.settings:
            return Launch(argv)
        from pydantic import ValidationError

        try:
            settings = self.settings_type.model_validate(dict(context.settings))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "(settings)"
            raise UsageError(f"the agent baseline: setting {key}: {first['msg']}") from None
        return Launch(argv, {"MLEB_SETTINGS": json.dumps(settings.model_dump())})
