"""What the harness knows of the dummy agent: how to start it."""

from collections.abc import Iterable

from mleb_core.agent import Launch, LaunchContext
from mleb_core.errors import UsageError

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
        if context.variant is not None:
            raise UsageError(f"the agent dummy has no variants, got dummy/{context.variant}; use dummy")
        if context.model is not None:
            raise UsageError(f"the agent dummy takes no model, got {context.model!r}; leave --model out")
        if context.settings:
            raise UsageError(f"the agent dummy has no settings, got {', '.join(sorted(context.settings))}")
        return Launch([context.python, "-m", "mleb_dummy"])
