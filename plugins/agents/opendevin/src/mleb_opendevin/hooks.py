"""Entry point: registers OpenHands, under its name of today and the one of the paper."""

from collections.abc import Iterable

from mleb_core.hookspecs import hookimpl
from mleb_opendevin.scaffold import OpenHands


@hookimpl
def mleb_register_agents() -> Iterable[OpenHands]:
    """OpenHands, twice: the ids opendevin and openhands are one program."""
    return [OpenHands("opendevin"), OpenHands("openhands")]
