"""Entry point: registers the dummy agent."""

from collections.abc import Iterable

from mleb_core.hookspecs import hookimpl
from mleb_dummy.scaffold import Dummy


@hookimpl
def mleb_register_agents() -> Iterable[Dummy]:
    """The dummy agent."""
    return [Dummy()]
