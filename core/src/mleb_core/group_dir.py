"""A run group's directory: made under a free name, held by one harness at a time, its reports kept."""

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from mleb_core.errors import RunGroupError
from mleb_core.layout import GroupLayout, write_whole
from mleb_core.report.load import load_group_report
from mleb_core.report.models import GroupReport
from mleb_core.run import RunGroup

__all__ = ["BusyGroupError", "create_group", "held", "is_reported"]


_PATIENCE_S = 0.5


class BusyGroupError(RunGroupError):
    """Another harness is at work on the group."""


def is_reported(directory: Path, report: GroupReport) -> bool:
    """Whether the group's reports stand on disk and say the same, whenever and under whatever path they were made."""
    layout = GroupLayout(directory)
    others = (layout.report_markdown, layout.report_csv, layout.grading_report)
    if not all(path.is_file() for path in others):
        return False
    try:
        standing = load_group_report(layout.report_json)
    except RunGroupError:
        return False
    return standing.model_copy(update={"created_at": report.created_at, "directory": report.directory}) == report


def create_group(output: Path, group: RunGroup, *, exact: bool = False) -> tuple[Path, RunGroup]:
    """Make the group's directory; a name that is taken gets a number.

    Args:
        output: made if missing.
        group: what was asked for, under the name that is wanted.
        exact: under no other name.

    Returns:
        The directory, and the group under the name that it got.

    Raises:
        RunGroupError: it cannot be written, or is there already under its exact name.
    """
    name = group.name
    try:
        output.mkdir(parents=True, exist_ok=True)
        for number in range(1, 2 if exact else 1000):
            group = group.model_copy(update={"name": name if number == 1 else f"{name}-{number}"})
            directory = output / group.name
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                write_whole(GroupLayout(directory).group, group.model_dump_json(indent=2) + "\n")
                return directory, group
    except OSError as error:
        raise RunGroupError(
            f"{error.filename or output}: {error.strerror or error}; choose another --output"
        ) from error
    if exact:
        raise RunGroupError(f"{output / name} is there already; choose another --output")
    raise RunGroupError(f"{output} holds 1000 groups of the name {name}; choose another --output")


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep other harnesses off a group; the lock dies with its owner.

    Raises:
        BusyGroupError: another harness is at work on it.
        RunGroupError: the directory cannot be written.
    """
    try:
        stream = GroupLayout(directory).lock.open("ab")
    except OSError as error:
        raise RunGroupError(f"{error.filename or directory}: {error.strerror or error}") from error
    with stream:
        try:
            _lock(stream.fileno())
        except BlockingIOError:
            raise BusyGroupError(
                f"{directory}: another mleb is at work on this group; wait for it or stop it"
            ) from None
        except OSError as error:  # a file system without locks
            raise RunGroupError(f"{directory} cannot be locked: {error.strerror or error}") from error
        yield


def _lock(handle: int) -> None:
    """Take the lock; a report that looks whether it is taken holds it for an instant, too."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
