"""How far repeated judgements agree."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Agreement", "agreement"]


@dataclass(frozen=True)
class Agreement:
    """Of several questions, each judged several times with yes or no."""

    questions: int
    """How many were judged at least twice."""
    observed: float | None
    """Share of pairs of judgements of the same question that are equal, the mean over questions; None: no pairs."""
    kappa: float | None
    """Fleiss' kappa: 1 is full agreement, 0 what chance would give. None: no pairs, or all judgements are the same, so
    that chance agrees as well."""


def agreement(votes: Sequence[Sequence[bool]]) -> Agreement:
    """Observed agreement and Fleiss' kappa (Psychological Bulletin 76, 1971); questions may differ in their judgements.

    Args:
        votes: for each question its judgements; those with fewer than two count for nothing.
    """
    judged = [list(one) for one in votes if len(one) >= 2]
    if not judged:
        return Agreement(0, None, None)
    shares = []
    for one in judged:
        count, yes = len(one), sum(one)
        no = count - yes
        shares.append((yes * (yes - 1) + no * (no - 1)) / (count * (count - 1)))
    observed = sum(shares) / len(shares)
    yes_share = sum(map(sum, judged)) / sum(map(len, judged))
    chance = yes_share**2 + (1 - yes_share) ** 2
    return Agreement(len(judged), observed, None if chance == 1 else (observed - chance) / (1 - chance))
