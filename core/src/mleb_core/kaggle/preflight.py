"""What is missing before anything is downloaded: credentials, accepted rules, space on the disk.

Whether the rules are accepted shows when the archive is asked for; its body is left unread.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.kaggle.background import in_background
from mleb_core.kaggle.credentials import Credentials
from mleb_core.kaggle.download import partly_there, require_credentials, size_of
from mleb_core.kaggle.patience import KaggleError, Patience
from mleb_core.kaggle.words import readable_size
from mleb_core.layout import CompetitionData

__all__ = ["Preflight", "Problem", "preflight"]


@dataclass(frozen=True)
class Problem:
    """Something that stands in the way of one or several downloads."""

    line: str
    """What is wrong and what to do."""
    competitions: tuple[str, ...]
    """Ids of those that cannot be downloaded therefore."""


@dataclass
class Preflight:
    """What was found."""

    credentials: Credentials | None = None
    """Of the user, where there are any."""
    ready: list[Competition] = field(default_factory=list)
    """Those that can be downloaded."""
    problems: list[Problem] = field(default_factory=list)
    """What stands in the way of the others; each of them is in one."""
    notice: str = ""
    """What the user should know all the same."""


def preflight(
    competitions: Sequence[Competition],
    data_dir: Path,
    *,
    at_a_time: int = 4,
    patience: Patience | None = None,
    on_checked: Callable[[str], None] = lambda id: None,
) -> Preflight:
    """Ask for all competitions at once whether they can be downloaded. Changes nothing.

    Args:
        competitions: those that have to be, of source "kaggle", each id once.
        data_dir: where the data is to lie.
        at_a_time: how many downloads there will be at a time.
        patience: with failures that may pass.
        on_checked: told the id of each that was asked for.
    """
    result = Preflight()
    try:
        credentials = result.credentials = require_credentials()
    except KaggleError as error:
        result.problems.append(Problem(str(error), tuple(c.id for c in competitions)))
        return result
    sizes: dict[str, int | None] = {}

    def ask(competition: Competition) -> None:
        sizes[competition.id] = size_of(competition, credentials, patience or Patience())

    failed: dict[str, Exception] = {}
    for competition, failure in in_background(competitions, ask, at_a_time=8):
        if failure is not None:
            failed[competition.id] = failure
        on_checked(competition.id)
    lines: dict[str, list[str]] = {}
    for competition in competitions:  # in their order, however the answers came
        if competition.id not in failed:
            result.ready.append(competition)
            continue
        why = failed[competition.id]
        line = str(why) if isinstance(why, MlebError) else f"internal error: {type(why).__name__}: {why}"
        lines.setdefault(line, []).append(competition.id)
    result.problems = [Problem(line, tuple(ids)) for line, ids in lines.items()]
    _weigh(result, sizes, data_dir, at_a_time)
    return result


def _weigh(result: Preflight, sizes: dict[str, int | None], data_dir: Path, at_a_time: int) -> None:
    """Compare the space that is needed with what is free.

    Unpacked data takes at least about the space of its archive, and so does what is prepared of it, unless that is
    hard links. Archives go once they are unpacked; twice as many as there are downloads at a time may wait for it.
    """
    missing, archives = [], []
    for competition in result.ready:
        size = sizes[competition.id] or 0
        archives.append(size)
        missing.append(max(0, size - partly_there(competition, CompetitionData.of(data_dir, competition.id))))
    waiting = sorted(missing, reverse=True)[: 2 * at_a_time]
    least = sum(archives) + sum(waiting)
    there = data_dir.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free = shutil.disk_usage(there).free
    except OSError:  # what cannot be looked at cannot be written either, and that is told when it is tried
        return
    one = len(archives) == 1
    many = f"{len(archives)} download{'' if one else 's'} of {readable_size(sum(archives))}"
    if least > free:
        line = (
            f"{many} need{'s' if one else ''} at least {readable_size(least)} in {data_dir}, "
            f"{readable_size(free)} are free; free some space, choose another --data-dir, or ask for fewer"
        )
        result.problems.append(Problem(line, tuple(competition.id for competition in result.ready)))
        result.ready = []
    elif least + sum(archives) > free:
        result.notice = (
            f"{many} may not fit: prepared they take about {readable_size(least + sum(archives))}, and "
            f"{readable_size(free)} are free in {data_dir}"
        )
