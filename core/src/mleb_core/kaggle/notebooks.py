"""Public notebooks on a competition, those with most votes first, kept in a folder.

    FOLDER/<author>__<name>.ipynb | .py | .r | ...     as Kaggle gives them
    FOLDER/notebooks.json                              of each file: title, author, votes, url, language

What is there is not fetched again. A notebook that Kaggle does not give is a line, not a failure.
"""

import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from mleb_core.errors import PreparationError
from mleb_core.kaggle.client import Client
from mleb_core.kaggle.credentials import Credentials
from mleb_core.kaggle.download import require_credentials
from mleb_core.kaggle.patience import KaggleError, Patience, persist
from mleb_core.layout import write_json, write_whole
from mleb_core.prepare.problems import explained

__all__ = ["LISTED", "fetch_notebooks"]

LISTED = "notebooks.json"
"""What is known of the files in a folder."""
_ENDINGS = {"python": ".py", "r": ".r", "rmarkdown": ".rmd", "julia": ".jl", "sqlite": ".sql"}
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def fetch_notebooks(
    slug: str,
    folder: Path,
    *,
    most: int = 50,
    credentials: Credentials | None = None,
    patience: Patience | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Fetch public notebooks on a competition into a folder.

    Args:
        slug: the competition's name at Kaggle.
        folder: made if need be.
        most: how many, by votes.
        credentials: of the user; None: looked for.
        patience: with failures that may pass.
        progress: gets a few words now and then.

    Returns:
        What went wrong with single notebooks, a line each.

    Raises:
        KaggleError: there are no credentials, or Kaggle does not list the notebooks.
        PreparationError: the folder cannot be written.
    """
    patience, say, problems = patience or Patience(), progress or (lambda _: None), []
    credentials = credentials or require_credentials()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = _known(folder)
        with Client(credentials, patience) as client:
            listed = persist(lambda: list(islice(client.notebooks(slug), most)), patience, f"{slug}: its notebooks")
            for count, one in enumerate(listed, 1):
                author, _, name = str(one.ref or "").strip("/").removeprefix("code/").partition("/")
                if not (_PART.fullmatch(author) and _PART.fullmatch(name)):
                    problems.append(f"{slug}: {str(one.ref)!r:.80} is no name of a notebook")
                    continue
                there = next((file for file in known if Path(file).stem == f"{author}__{name}"), None)
                if there is None or not (folder / there).is_file():
                    say(f"notebook {count} of {len(listed)}: {author}/{name}")
                    try:
                        there = _fetch(client, author, name, folder, patience)
                    except KaggleError as error:
                        if error.reason in ("credentials", "unreachable"):
                            raise
                        problems.append(f"{slug}: notebook {author}/{name} is not to be had: {_plain(error)}")
                        continue
                facts = {"title": one.title, "author": one.author or author, "votes": one.total_votes}
                known[there] = {
                    **facts,
                    "language": one.language,
                    "url": f"https://www.kaggle.com/code/{author}/{name}",
                }
                write_json(folder / LISTED, known, durable=False)
    except OSError as error:
        raise explained(error, f"notebooks on {slug} cannot be kept in {folder}") from error
    return problems


def _fetch(client: Client, author: str, name: str, folder: Path, patience: Patience) -> str:
    answer = persist(lambda: client.notebook(author, name), patience, f"notebook {author}/{name}")
    blob = answer.blob
    if blob is None or not blob.source:
        raise KaggleError("it is empty", "answer")
    ending = (
        ".ipynb" if str(blob.kernel_type).lower() == "notebook" else _ENDINGS.get(str(blob.language).lower(), ".py")
    )
    file = f"{author}__{name}{ending}"
    write_whole(folder / file, blob.source.encode("utf-8", "replace"), durable=False)
    return file


def _plain(error: KaggleError) -> str:
    """Kaggle's refusals are worded for competitions; of a notebook only the kind holds."""
    words = {"rules": "it is not public", "unknown": "Kaggle has no such notebook (any more)"}
    return words.get(error.reason, str(error))


def _known(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / LISTED).read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PreparationError(f"{folder / LISTED} is no list of notebooks; remove it to have them fetched again")
    return found
