"""Data that lies ready before the first runs of a competition begin, so that no run's time goes by meanwhile.

A run takes over the tree of links that another has left (`public_data`). The first ones find none: so their trees are
laid while the group is set up, and those of the next competition while runs of the one before it are at work.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mleb_core.layout import CompetitionData, GroupLayout
from mleb_core.run import Run, RunKey
from mleb_core.runner.public_data import lay_spare

__all__ = ["Stock", "stocked"]


class Stock:
    """Lays trees for a group's competitions, in the order of their runs and never more than one of them ahead."""

    def __init__(
        self, keys: Sequence[RunKey], data_dir: Path, layout: GroupLayout, workers: int, *, neutral: bool
    ) -> None:
        """Args:
        keys: runs that are to come, in order.
        data_dir: the data directory.
        layout: of the group.
        workers: runs at a time, so that many trees are laid at most for a competition.
        neutral: as for `give_data`.
        """
        self._counts = Counter(key.competition for key in keys)
        self._order = list(self._counts)
        self._data_dir, self._layout, self._workers, self._neutral = data_dir, layout, workers, neutral
        self._begun = {key: threading.Event() for key in self._order}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="mleb-stock", daemon=True)

    def start(self) -> None:
        """Lay those of the first competition, and go on with the others beside the runs."""
        if self._order:
            self._lay(self._order[0])
            self._thread.start()

    def changed(self, run: Run) -> None:
        """Told of each change of a run: the next competition's trees are laid once it is begun."""
        if (begun := self._begun.get(run.key.competition)) is not None:
            begun.set()

    def close(self) -> None:
        """Stop laying; what is under way is finished first."""
        self._over.set()
        for begun in self._begun.values():
            begun.set()
        if self._thread.is_alive():
            self._thread.join()

    def _follow(self) -> None:
        for before, competition in zip(self._order, self._order[1:], strict=False):
            self._begun[before].wait()
            self._lay(competition)

    def _lay(self, competition: str) -> None:
        public = CompetitionData.of(self._data_dir, competition).public
        spare = self._layout.spare(competition)
        # What is wrong, such as data that has vanished, is told by the run that needs it.
        with contextlib.suppress(OSError):
            for _ in range(min(self._workers, self._counts[competition])):
                if self._over.is_set() or not lay_spare(public, spare, neutral=self._neutral):
                    return


@contextmanager
def stocked(stock: Stock | None) -> Iterator[None]:
    """A stock at work, if there is one."""
    if stock is None:
        yield
        return
    try:
        stock.start()
        yield
    finally:
        stock.close()
