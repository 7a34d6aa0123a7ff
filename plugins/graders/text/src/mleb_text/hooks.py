"""Registers the graders of this pack."""

from mleb_core import hookimpl
from mleb_core.grading.protocol import Grader


@hookimpl
def mleb_register_graders() -> list[Grader]:
    """All graders of the pack."""
    return []
