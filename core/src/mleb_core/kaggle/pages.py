"""A competition's public pages (description, rules, evaluation, ...), kept in a folder as texts. None of them ships."""

import re
from collections.abc import Callable
from pathlib import Path

from mleb_core.kaggle.client import Client, page_of
from mleb_core.kaggle.credentials import Credentials
from mleb_core.kaggle.download import require_credentials
from mleb_core.kaggle.patience import KaggleError, Patience, persist
from mleb_core.layout import write_whole
from mleb_core.prepare.problems import explained

__all__ = ["fetch_pages"]


def fetch_pages(
    slug: str,
    folder: Path,
    *,
    credentials: Credentials | None = None,
    patience: Patience | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Fetch the pages into `FOLDER/<page>.html`, unless there are some already.

    Args:
        slug: the competition's name at Kaggle.
        folder: made if need be.
        credentials: of the user; None: looked for.
        patience: with failures that may pass.
        progress: gets a few words now and then.

    Returns:
        The files, by name.

    Raises:
        KaggleError: there are no credentials, or Kaggle gives no pages.
        PreparationError: the folder cannot be written.
    """
    patience = patience or Patience()
    try:
        if there := sorted(folder.glob("*.html")):
            return there
        if progress:
            progress(f"pages of {slug}")
        with Client(credentials or require_credentials(), patience) as client:
            pages = persist(lambda: client.pages(slug), patience, slug)
        if not pages:
            raise KaggleError(f"{slug}: Kaggle gives no pages of it; look at {page_of(slug)}", "answer")
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in pages:
            file = re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:80].lower() or "page"
            write_whole(folder / f"{file}.html", content.encode("utf-8", "replace"), durable=False)
        return sorted(folder.glob("*.html"))
    except OSError as error:
        raise explained(error, f"pages of {slug} cannot be kept in {folder}") from error
