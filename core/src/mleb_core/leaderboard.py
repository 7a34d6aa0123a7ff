"""Medals, places and percentiles on a human leaderboard: pure functions.

A leaderboard is the final private ranking of a competition, frozen. Medals follow Kaggle's progression
rules by the number of teams (https://www.kaggle.com/progression, as the MLE-bench paper uses them):

    teams          gold          silver   bronze
    1-99           10 %          20 %     40 %
    100-249        10            20 %     40 %
    250-999        10 + 0.2 %    50       100
    1000 and more  10 + 0.2 %    5 %      10 %

Shares are truncated to whole places, at least place 1. A threshold is the score at that place; to reach it
is enough. The median is strict: only a better score is above it.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Medal", "Standing", "Thresholds", "medal_places", "standing", "thresholds_from_scores"]

Medal = Literal["gold", "silver", "bronze", "none"]


@dataclass(frozen=True)
class Thresholds:
    """The scores that earn a medal, and the median score.

    Raises:
        ValueError: a threshold is not finite, or gold is worse than silver or silver worse than bronze.
    """

    gold: float
    silver: float
    bronze: float
    median: float
    higher_is_better: bool

    def __post_init__(self) -> None:
        values = (self.gold, self.silver, self.bronze, self.median)
        if not all(math.isfinite(value) for value in values):
            raise ValueError(f"thresholds must be finite numbers, got {values}")
        sign = 1 if self.higher_is_better else -1
        if not sign * self.gold >= sign * self.silver >= sign * self.bronze:
            raise ValueError(
                f"gold {self.gold}, silver {self.silver}, bronze {self.bronze} are not in the order of "
                f"{'higher' if self.higher_is_better else 'lower'} is better"
            )

    def medal(self, score: float | None) -> Medal:
        """The best medal that a score earns; "none" without a score."""
        if score is None:
            return "none"
        for name in ("gold", "silver", "bronze"):
            threshold: float = getattr(self, name)
            if score >= threshold if self.higher_is_better else score <= threshold:
                return name
        return "none"

    def above_median(self, score: float | None) -> bool:
        """Whether a score is strictly better than the median; False without a score."""
        if score is None:
            return False
        return score > self.median if self.higher_is_better else score < self.median


@dataclass(frozen=True)
class Standing:
    """Where a score would stand among the human scores."""

    place: int
    """1-based; ties share the better place."""
    teams: int
    """Number of human scores."""
    percentile: float
    """Percent of the human scores that are worse, plus half of those that are equal: 0 to 100."""


def medal_places(teams: int) -> tuple[int, int, int]:
    """The last places, 1-based, of gold, silver and bronze among `teams` teams.

    Raises:
        ValueError: `teams` is below 1.
    """
    if teams < 1:
        raise ValueError(f"a leaderboard has at least one team, got {teams}")
    # Whole-number arithmetic: 0.2 * 35 and the like fall just below a whole number in binary fractions.
    if teams < 100:
        places = (teams // 10, teams // 5, teams * 2 // 5)
    elif teams < 250:
        places = (10, teams // 5, teams * 2 // 5)
    elif teams < 1000:
        places = (10 + teams // 500, 50, 100)
    else:
        places = (10 + teams // 500, teams // 20, teams // 10)
    gold, silver, bronze = (max(1, place) for place in places)
    return gold, silver, bronze


def thresholds_from_scores(scores: Sequence[float], *, higher_is_better: bool) -> Thresholds:
    """Thresholds of a leaderboard given as its scores, in any order.

    Raises:
        ValueError: no scores, or one that is not finite.
    """
    if not all(math.isfinite(score) for score in scores):
        raise ValueError("a leaderboard holds a score that is not a finite number")
    ranked = sorted(scores, reverse=higher_is_better)
    gold, silver, bronze = (ranked[place - 1] for place in medal_places(len(ranked)))
    return Thresholds(gold, silver, bronze, statistics.median(ranked), higher_is_better)


def standing(score: float, scores: Sequence[float], *, higher_is_better: bool) -> Standing:
    """Place and percentile of `score` among `scores`.

    Raises:
        ValueError: `scores` is empty.
    """
    if not scores:
        raise ValueError("a standing needs at least one human score")
    sign = 1 if higher_is_better else -1
    better = sum(sign * other > sign * score for other in scores)
    equal = sum(other == score for other in scores)
    worse = len(scores) - better - equal
    return Standing(better + 1, len(scores), 100 * (worse + equal / 2) / len(scores))
