"""What a harness that was killed has left among the machine's temporary files, and its removal.

    mleb-check-*       data for the submission checker; its harness holds a lock on it (flock)
    mleb-<uid>/<run>   a run's sockets, and beside them <run>.json, which names the run's directory; without it: of a
                       harness that was killed before it had written that
    mleb-<hash>        a short way (a link) to a run's temporary directory

Nothing of a harness at work is touched, and nothing that a run which can be resumed needs.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mleb_core.layout import RunLayout
from mleb_core.run import RunStatus

__all__ = ["CHECKER_PREFIX", "Leaving", "find_leavings", "hold", "remove_leavings"]

CHECKER_PREFIX = "mleb-check-"
"""How directories with data for the submission checker begin."""
_YOUNG_S = 60.0
"""What is younger than this is left alone: its harness may be about to lock it."""
_OVER = {RunStatus.FINISHED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED}


@dataclass(frozen=True)
class Leaving:
    """A temporary file or directory that nobody will come back for."""

    path: Path
    """Where it is."""
    why: str
    """Why it is not needed, in a few words."""


def hold(folder: Path) -> int:
    """Mark a directory as one that this process works with, until the descriptor is closed or the process ends.

    Raises:
        OSError: it cannot be opened or locked.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def find_leavings(runs: Path | None = None) -> list[Leaving]:
    """What is left over of this user's, by path.

    Args:
        runs: only what is of runs in this directory or beneath it, so none of the checker's data; None: all.
    """
    temporary = Path(tempfile.gettempdir())
    found = [*_links(temporary, runs), *_channels(runs)]
    if runs is None:
        found += _checkers(temporary)
    return sorted(found, key=lambda leaving: leaving.path)


def remove_leavings(leavings: list[Leaving]) -> tuple[list[Leaving], list[str]]:
    """Remove what is left over.

    Returns:
        What is gone, and a line for each that is not.
    """
    gone, failures = [], []
    for leaving in leavings:
        try:
            if leaving.path.is_dir() and not leaving.path.is_symlink():
                shutil.rmtree(leaving.path)
            else:
                leaving.path.unlink(missing_ok=True)
        except OSError as error:
            failures.append(f"{leaving.path} cannot be removed: {error.strerror or error}")
        else:
            gone.append(leaving)
    return gone, failures


def _checkers(temporary: Path) -> Iterator[Leaving]:
    for path in temporary.glob(f"{CHECKER_PREFIX}*"):
        if not _is_old_and_own(path, stat.S_ISDIR):
            continue
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its harness lives
        finally:
            os.close(fd)
        yield Leaving(path, "its harness is gone")


def _links(temporary: Path, runs: Path | None) -> Iterator[Leaving]:
    for path in temporary.glob("mleb-*"):
        if not re.fullmatch("mleb-[0-9a-f]{12}", path.name) or not _is_old_and_own(path, stat.S_ISLNK):
            continue
        with contextlib.suppress(OSError):
            target = path.readlink()
            if not target.exists() and (runs is None or target.is_relative_to(runs.absolute())):
                yield Leaving(path, "what it leads to is gone")


def _channels(runs: Path | None) -> Iterator[Leaving]:
    # The directory is the same for all runs of this user; anybody may have made one of its name in /tmp.
    for folder in _channel_folders():
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077:
                yield from _channels_in(folder, runs)


def _channel_folders() -> list[Path]:
    """Where channels of this user's may be: a harness has had a session ($XDG_RUNTIME_DIR) or none."""
    name = RunLayout(Path("/")).channel.parent.name
    session = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    return [*dict.fromkeys((session / name, Path(tempfile.gettempdir(), name)))]


def _channels_in(folder: Path, runs: Path | None) -> Iterator[Leaving]:
    for state in sorted(folder.glob("*.json")):
        try:
            run = Path(json.loads(state.read_bytes())["run"])
            why = _why_over(run)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # of a version that did not say whose it is; or the run cannot be looked at
        if why and _is_old_and_own(state, stat.S_ISREG) and (runs is None or run.is_relative_to(runs.absolute())):
            if state.with_suffix("").exists():
                yield Leaving(state.with_suffix(""), why)
            yield Leaving(state, why)
    if runs is None:
        for path in sorted(folder.iterdir()):
            nameless = re.fullmatch("[0-9a-f]{20}", path.name) and not path.with_suffix(".json").exists()
            if nameless and _is_old_and_own(path, stat.S_ISDIR):
                yield Leaving(path, "its harness was killed before it had said whose it is")


def _why_over(run: Path) -> str | None:
    """Why nobody will come back for a run; None: somebody may."""
    if not run.exists():
        return "its run's directory is gone"
    try:
        status = RunStatus(json.loads(RunLayout(run).run.read_bytes())["status"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"its run has ended ({status})" if status in _OVER else None


def _is_old_and_own(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    own = status.st_uid == os.geteuid() and kind(status.st_mode)
    return own and time.time() - status.st_mtime > _YOUNG_S
