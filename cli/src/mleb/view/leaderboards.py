"""The scores that a competition's medals were taken from, as a distribution."""

import math
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.layout import CompetitionData
from mleb_core.registry import Registry
from mleb_core.report.build import human_scores

__all__ = ["Leaderboards", "bare", "histogram"]

BINS = 60
_KEPT = 16


class Leaderboards:
    """Looks up competitions in the installed plugins, and their scores in the data directory or the plugin.

    Safe to use from many threads.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        """Args:
        data_dir: where scores are looked for first.
        """
        self._data_dir = data_dir
        self._registry: Registry | None = None
        self._kept: dict[tuple[str, str], dict[str, Any]] = {}
        self._lock = threading.Lock()

    def facts(self, label: str, data_dir: str) -> dict[str, Any]:
        """What is known of a competition.

        Args:
            label: id and edition.
            data_dir: where the group had its data.

        Returns:
            `title`, `category`, `complexity`, `kind` ("humans" or "reference-models"), `lower_better`, `teams`,
            `thresholds` (gold, silver, bronze, median), `issues`, `scores` (sorted, maybe none), `problem` (a line).
        """
        with self._lock:
            kept = self._kept.get((label, data_dir))
            if kept is None:
                kept = self._look(label, data_dir)
                if not kept["problem"]:  # else it may be mended while the viewer goes on
                    while len(self._kept) >= _KEPT:
                        del self._kept[next(iter(self._kept))]
                    self._kept[label, data_dir] = kept
            return kept

    def _look(self, label: str, data_dir: str) -> dict[str, Any]:
        try:
            self._registry = self._registry or Registry()
            competition = self._registry.competition(label)
            facts = competition.spec.leaderboard
        except MlebError as error:
            return {"problem": f"of this competition only the runs' reports are known: {error}"}
        found: dict[str, Any] = {
            "title": competition.title,
            "category": competition.category,
            "complexity": competition.complexity,
            "metric": competition.spec.grading.grader,
            "kind": facts.kind,
            "lower_better": not facts.higher_is_better,
            "teams": facts.teams,
            "thresholds": {
                "gold": facts.gold,
                "silver": facts.silver,
                "bronze": facts.bronze,
                "median": facts.median,
            },
            "issues": [
                issue.what
                for issue in competition.spec.known_issues
                if issue.repaired_in is None or issue.repaired_in > competition.edition
            ],
        }
        places = [place for place in (self._data_dir, Path(data_dir)) if place is not None]
        fetched = (place for place in places if CompetitionData.of(place, competition.label).leaderboard.is_file())
        return {**found, **_scores(competition, next(fetched, places[-1]))}


def histogram(scores: Sequence[float], ours: Sequence[float], marks: Sequence[float]) -> dict[str, Any]:
    """Counts of scores in equal bins; scores far from all the others are counted apart, so that the rest can be seen.

    Args:
        scores: ascending, one or more.
        ours: scores that should be in sight, where they are not far from all others.
        marks: likewise, such as thresholds.

    Returns:
        `edges` (one more than `counts`), `counts`, `below` and `above` (scores outside of the edges), `ours_outside`.
    """
    low, high = _fence(scores)
    near = [value for value in (*ours, *marks) if low - 2 * (high - low) <= value <= high + 2 * (high - low)]
    low, high = min([low, *near]), max([high, *near])
    if low == high:
        low, high = low - abs(low) * 0.01 - 1e-9, high + abs(high) * 0.01 + 1e-9
    bins = min(BINS, max(10, 2 * math.isqrt(len(scores))))
    edges = [low + (high - low) * number / bins for number in range(bins)] + [high]
    places = [bisect_left(scores, edge) for edge in edges[:-1]] + [bisect_right(scores, high)]
    return {
        "edges": edges,
        "counts": [after - before for before, after in pairwise(places)],
        "below": places[0],
        "above": len(scores) - places[-1],
        "ours_outside": sum(not low <= score <= high for score in ours),
    }


def bare(values: Sequence[float]) -> dict[str, Any]:
    """The same picture where the scores are not known: room for some values, and no counts.

    Args:
        values: that must be in sight, one or more.
    """
    low, high = min(values), max(values)
    room = (high - low or abs(high) or 1) * 0.05
    return {"edges": [low - room, high + room], "counts": [0], "below": 0, "above": 0, "ours_outside": 0}


def _fence(scores: Sequence[float]) -> tuple[float, float]:
    """The range without far outliers: quartiles and three times their distance (Tukey's outer fences)."""
    quarter, last = scores[len(scores) // 4], scores[(3 * len(scores)) // 4]
    reach = 3 * (last - quarter)
    within = [score for score in scores if quarter - reach <= score <= last + reach]
    return within[0], within[-1]


def _scores(competition: Competition, data_dir: Path) -> dict[str, Any]:
    try:
        scores = human_scores(competition, data_dir)
    except MlebError as error:
        return {"scores": [], "problem": str(error)}
    if scores is None:
        fetch = "`mleb prepare` fetches them where Kaggle has them"
        return {"scores": [], "problem": f"the leaderboard's scores are not here, only its thresholds; {fetch}"}
    return {"scores": sorted(scores), "problem": ""}
