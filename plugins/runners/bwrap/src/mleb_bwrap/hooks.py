"""Entry point: registers the bubblewrap runner."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mleb_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from mleb_bwrap.runner import BwrapRunner


@hookimpl
def mleb_register_runners() -> "Iterable[BwrapRunner]":
    """The bubblewrap runner."""
    from mleb_bwrap.runner import BwrapRunner

    return [BwrapRunner()]
