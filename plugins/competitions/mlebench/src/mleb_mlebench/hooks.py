"""Registers the competitions: the folders beside this file."""

from pathlib import Path

from mleb_core import Competition, competitions_in, hookimpl


@hookimpl
def mleb_register_competitions() -> list[Competition]:
    """All folders of the pack."""
    return competitions_in(Path(__file__).parent / "competitions")
