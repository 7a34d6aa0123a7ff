"""Whether the data of a group's competitions is still that which the group began with."""

from collections.abc import Mapping
from pathlib import Path

from mleb_core.competition import Competition
from mleb_core.errors import NotPreparedError
from mleb_core.layout import CompetitionData
from mleb_core.prepare import data_digest

__all__ = ["DataWatch"]

State = tuple[tuple[int, int, int], ...]
"""Inode, change time in ns and size of the files that stand for a competition's data."""


class DataWatch:
    """Looks at prepared data before each run and each grading; quick where nothing has changed. For many threads."""

    def __init__(self, data_dir: Path, digests: Mapping[str, str]) -> None:
        """Args:
        data_dir: where prepared data lies.
        digests: sha256 of each competition's manifest as the group began, by label.
        """
        self._data_dir, self._digests = data_dir, digests
        self._seen: dict[str, State] = {}

    def require(self, competition: Competition) -> None:
        """Check that a competition's data is there and the group's own.

        Raises:
            NotPreparedError: it vanished or changed since the group began.
        """
        label = competition.label
        state = _state_of(competition, CompetitionData.of(self._data_dir, label))
        if state is not None and self._seen.get(label) == state:
            return
        digest = data_digest(competition, self._data_dir)
        if digest != self._digests.get(label, digest):
            raise NotPreparedError(
                f"{label}: the data in {self._data_dir} is no longer that which the group began with; "
                "put it back and --resume, or start a new group"
            )
        if state is not None:
            self._seen[label] = state


def _state_of(competition: Competition, data: CompetitionData) -> State | None:
    """What shows at a glance whether prepared data is still the same; None where something of it is not there."""
    grading = competition.spec.grading
    try:
        found = [path.stat() for path in (data.manifest, data.private / grading.answers, data.public / grading.sample)]
    except OSError:
        return None
    return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)
