"""Registers the competitions, the folders under competitions/, and the graders that only one of them has."""

from pathlib import Path

from mleb_core import Competition, competitions_in, hookimpl
from mleb_core.grading.protocol import Grader
from mleb_mlebench.graders import registered


@hookimpl
def mleb_register_competitions() -> list[Competition]:
    """All folders of the pack."""
    return competitions_in(Path(__file__).parent / "competitions")


@hookimpl
def mleb_register_graders() -> list[Grader]:
    """Graders that fit one competition of the pack alone."""
    return registered()
