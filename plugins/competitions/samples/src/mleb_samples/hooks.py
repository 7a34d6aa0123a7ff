"""What this plugin registers."""

from collections.abc import Iterable
from pathlib import Path

from mleb_core.competition import Competition, competitions_in
from mleb_core.hookspecs import hookimpl

__all__ = ["mleb_register_competitions"]


@hookimpl
def mleb_register_competitions() -> Iterable[Competition]:
    """The competitions of the split "samples"."""
    return competitions_in(Path(__file__).parent)
