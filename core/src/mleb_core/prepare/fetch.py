"""Where raw data comes from: one function for each kind of source.

Each is given an empty folder to fill, which takes the place of `DATA/<id>/raw` once it returns.
"""

from collections.abc import Callable
from pathlib import Path

from mleb_core.competition import Competition
from mleb_core.errors import PreparationError
from mleb_core.prepare.context import code_of

__all__ = ["FETCHERS", "fetch"]

Progress = Callable[[str], None]


def fetch(competition: Competition, raw: Path, place: Path, progress: Progress) -> None:
    """Fill the empty folder `raw`.

    Args:
        competition: names its source.
        raw: the folder.
        place: where raw data is looked for, for messages.
        progress: gets a few words now and then.

    Raises:
        PreparationError: it cannot be had; the message says what to do.
    """
    FETCHERS[competition.spec.source.kind](competition, raw, place, progress)
    if not any(raw.iterdir()):
        raise PreparationError(f"{competition.id}: the source gave no raw data")


def fetch_python(competition: Competition, raw: Path, place: Path, progress: Progress) -> None:
    """Source "python": `fetch(raw)` in the competition's raw.py makes it."""
    path = competition.folder / "raw.py"
    if not path.is_file():
        raise PreparationError(f'{path} is missing; source kind "python" expects a function `fetch(raw)` in it')
    progress("making raw data")
    with code_of(path, "fetch") as make:
        make(raw)


def fetch_kaggle(competition: Competition, raw: Path, place: Path, progress: Progress) -> None:
    """Source "kaggle": downloaded from there."""
    source = competition.spec.source
    url = source.url or f"https://www.kaggle.com/competitions/{source.slug or competition.id}/data"
    raise PreparationError(
        f"no raw data of {competition.id}: get it from {url}, unpack it into {place} or give --raw-dir"
    )


def fetch_manual(competition: Competition, raw: Path, place: Path, progress: Progress) -> None:
    """Source "manual": the user puts it there."""
    url = competition.spec.source.url
    come = f"get it from {url}, " if url else ""
    raise PreparationError(f"no raw data of {competition.id}: {come}put it into {place} or give --raw-dir")


FETCHERS: dict[str, Callable[[Competition, Path, Path, Progress], None]] = {
    "python": fetch_python,
    "kaggle": fetch_kaggle,
    "manual": fetch_manual,
}
"""By `[source] kind`."""
