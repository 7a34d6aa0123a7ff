"""Entry point: registers AIDE."""

from collections.abc import Iterable

from mleb_aide.scaffold import Aide
from mleb_core.hookspecs import hookimpl


@hookimpl
def mleb_register_agents() -> Iterable[Aide]:
    """AIDE."""
    return [Aide()]
