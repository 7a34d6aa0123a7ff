"""Entry point: registers the baseline agent."""

from collections.abc import Iterable

from mleb_core.hookspecs import hookimpl

from mleb_baseline.scaffold import Baseline


@hookimpl
def mleb_register_agents() -> Iterable[Baseline]:
    """The baseline agent."""
    return [Baseline()]
