"""Scores and medals over time, from the graded snapshots of runs."""

from collections.abc import Iterable

from mleb_core.report.models import RunSnapshots, SnapshotScore
from mleb_core.report.statistics.basic import percentage
from mleb_core.report.statistics.models import TimePoint

__all__ = ["medals_over_time", "standing_at"]


def standing_at(snapshots: RunSnapshots, elapsed_s: float) -> SnapshotScore | None:
    """The submission that a run had at a time: the last snapshot taken until then; None before the first.

    What counts is what stood there, as at the end of a run: a later, worse submission takes an earlier one's place.

    Args:
        snapshots: of one run, in any order.
        elapsed_s: seconds from the agent's start.
    """
    taken = [snapshot for snapshot in snapshots.snapshots if snapshot.elapsed_s <= elapsed_s]
    return max(taken, key=lambda snapshot: snapshot.elapsed_s, default=None)


def medals_over_time(runs: Iterable[RunSnapshots], asked: int) -> tuple[TimePoint, ...]:
    """Runs whose standing submission earned a medal, in percent of those asked for, at each time at which that changes.

    As the paper sets performance against time (arXiv 2410.07095). A run without graded snapshots, or a snapshot
    without a verdict, counts as without a medal.

    Args:
        runs: the graded snapshots there are, one entry a run.
        asked: number of runs asked for.

    Raises:
        ValueError: more runs with a medal than were asked for, or none asked for.
    """
    changes: dict[float, int] = {}
    for run in runs:
        had = False
        for snapshot in sorted(run.snapshots, key=lambda snapshot: snapshot.elapsed_s):
            has = snapshot.medal != "none"
            if has != had:
                changes[snapshot.elapsed_s] = changes.get(snapshot.elapsed_s, 0) + has - had
                had = has
    points = [TimePoint(elapsed_s=0, any_medal_percentage=percentage(0, asked), medals=0)]
    for elapsed, change in sorted(changes.items()):
        medals = points[-1].medals + change
        point = TimePoint(elapsed_s=elapsed, any_medal_percentage=percentage(medals, asked), medals=medals)
        if elapsed <= 0:
            points[-1] = point
        elif change:
            points.append(point)
    return tuple(points)
