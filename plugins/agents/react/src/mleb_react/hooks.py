"""Entry point: registers the ReAct agent."""

from collections.abc import Iterable

from mleb_core.hookspecs import hookimpl
from mleb_react.scaffold import React


@hookimpl
def mleb_register_agents() -> Iterable[React]:
    """The ReAct agent."""
    return [React()]
