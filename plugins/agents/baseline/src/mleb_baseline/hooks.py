"""Entry point: registers the baseline agent."""

from collections.abc import Iterable

from mleb_baseline.scaffold import Baseline
from mleb_core.hookspecs import hookimpl


@hookimpl
def mleb_register_agents() -> Iterable[Baseline]:
    """The baseline agent."""
    return [Baseline()]
