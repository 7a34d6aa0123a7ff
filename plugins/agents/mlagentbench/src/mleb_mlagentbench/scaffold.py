"""What the harness knows of the research agent: its settings, its models, its image, and how to start it."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mleb_core.agent import Image, Launch, LaunchContext
from mleb_core.scaffolding import model_of, settings_of

if TYPE_CHECKING:
    from mleb_mlagentbench.settings import Settings

__all__ = ["MLAgentBench"]

VARIANTS = {"gpt-4o": "openai/gpt-4o-2024-08-06"}
"""The model that MLE-bench (arXiv 2410.07095) ran this loop with."""


class MLAgentBench:
    """Reflects, plans, checks facts, and takes one action at a time; Huang et al. 2023, arXiv 2310.03302."""

    id = "mlagentbench"
    summary = "MLAgentBench's research agent: mleb's own implementation of the published loop."
    image = Image(packages=("mleb_mlagentbench",))

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_mlagentbench.settings import Settings

        return Settings

    def variants(self) -> Iterable[str]:
        """The model of the published results."""
        return tuple(VARIANTS)

    def models(self, variant: str | None) -> str | None:
        """The model that a variant stands for."""
        return VARIANTS.get(variant or "")

    def launch(self, context: LaunchContext) -> Launch:
        """Start `python -m mleb_mlagentbench`, with the settings as JSON in MLAGENTBENCH_SETTINGS.

        Raises:
            UsageError: an unknown variant, a variant and a model, or neither; a wrong setting.
        """
        model = model_of(self, context, VARIANTS)
        settings = {**settings_of(self, context), "model_name": model}
        return Launch([context.python, "-m", "mleb_mlagentbench"], env={"MLAGENTBENCH_SETTINGS": json.dumps(settings)})
