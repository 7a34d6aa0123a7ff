"""What the harness knows of the dummy agent: how to start it."""

from collections.abc import Iterable

from mleb_core.agent import Launch, LaunchContext
from mleb_core.errors import UsageError
from mleb_core.scaffolding import no_model, no_variant

__all__ = ["Dummy"]


class Dummy:
    """Hands in the sample submission and reports what it can and cannot see."""

    id = "dummy"
    summary = "Hands in the sample submission and checks what an agent can and cannot see."

    def variants(self) -> Iterable[str]:
        """None."""
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        """Start `python -m mleb_dummy`.

        Raises:
            UsageError: a variant, a model or settings were given; there are none.
        """
        no_variant(self, context)
        no_model(self, context)
        if context.settings:
            raise UsageError(f"the agent dummy has no settings, got {', '.join(sorted(context.settings))}")
        return Launch([context.python, "-m", "mleb_dummy"])
