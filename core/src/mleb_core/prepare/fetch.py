"""Where raw data comes from: one function for each kind of source.

Each is given an empty folder to fill, which takes the place of `DATA/<id>/raw` once it returns.
"""

from collections.abc import Callable
from pathlib import Path

from mleb_core.competition import Competition
from mleb_core.errors import PreparationError
from mleb_core.layout import CompetitionData
from mleb_core.prepare.context import code_of

__all__ = ["FETCHERS", "WARNING", "fetch"]

WARNING = "warning: "
"""What progress begins with where it should stay."""
Progress = Callable[[str], None]


def fetch(competition: Competition, raw: Path, place: Path, progress: Progress, *, verify: bool = True) -> None:
    """Fill the empty folder `raw`.

    Args:
        competition: names its source.
        raw: the folder.
        place: where raw data is looked for, for messages.
        progress: gets a few words now and then.
        verify: compare a download with its published checksum.

    Raises:
        PreparationError: it cannot be had; the message says what to do.
    """
    FETCHERS[competition.spec.source.kind](competition, raw, place, progress, verify)
    if not any(raw.iterdir()):
        raise PreparationError(f"{competition.id}: the source gave no raw data")


def fetch_python(competition: Competition, raw: Path, place: Path, progress: Progress, verify: bool) -> None:
    """Source "python": `fetch(raw)` in the competition's raw.py makes it."""
    path = competition.folder / "raw.py"
    if not path.is_file():
        raise PreparationError(f'{path} is missing; source kind "python" expects a function `fetch(raw)` in it')
    progress("making raw data")
    with code_of(path, "fetch") as make:
        make(raw)


def fetch_kaggle(competition: Competition, raw: Path, place: Path, progress: Progress, verify: bool) -> None:
    """Source "kaggle": downloaded from there, with the human scores; those missing are a warning, no failure."""
    from mleb_core.kaggle.download import archive_at_hand, fetch_archive, fetch_more, unpack
    from mleb_core.kaggle.leaderboard import fetch_leaderboard
    from mleb_core.kaggle.patience import KaggleError, Patience

    data = CompetitionData(place.parent)
    try:
        archive = fetch_archive(competition, data, verify=verify, progress=progress)
    except KaggleError as error:
        if error.reason == "credentials" and archive_at_hand(competition, data) is None:
            raise KaggleError(f"no raw data of {competition.id} in {place}, and {error}; or give --raw-dir",
                              error.reason) from None  # fmt: skip
        raise
    assert archive is not None  # it is wanted in any case
    progress("unpacking")
    unpack(competition, archive, raw)
    fetch_more(competition, raw, data.download, Patience(), progress)
    for line in fetch_leaderboard(competition, data):
        progress(f"{WARNING}{line}")


def fetch_manual(competition: Competition, raw: Path, place: Path, progress: Progress, verify: bool) -> None:
    """Source "manual": the user puts it there."""
    url = competition.spec.source.url
    come = f"get it from {url}, " if url else ""
    raise PreparationError(f"no raw data of {competition.id}: {come}put it into {place} or give --raw-dir")


FETCHERS: dict[str, Callable[[Competition, Path, Path, Progress, bool], None]] = {
    "python": fetch_python,
    "kaggle": fetch_kaggle,
    "manual": fetch_manual,
}
"""By `[source] kind`."""
