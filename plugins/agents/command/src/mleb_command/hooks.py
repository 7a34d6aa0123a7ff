"""Entry point: registers the command agent."""

from collections.abc import Iterable

from mleb_command.scaffold import Command
from mleb_core.hookspecs import hookimpl


@hookimpl
def mleb_register_agents() -> Iterable[Command]:
    """The command agent."""
    return [Command()]
