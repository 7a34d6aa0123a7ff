"""Graders that fit one competition of the pack alone. Each module has a tuple `GRADERS` and imports nothing heavy."""

from mleb_core.grading.protocol import Grader

__all__ = ["registered"]


def registered() -> list[Grader]:
    """All graders of this folder; a new module gets one line here."""
    from mleb_mlebench.graders import molecules, toxicity, visits

    return [
        *molecules.GRADERS,
        *toxicity.GRADERS,
        *visits.GRADERS,
    ]
