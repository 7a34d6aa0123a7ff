"""Turning what the operating system and libraries say into one line."""

import errno
import os
from pathlib import Path

from mleb_core.errors import PreparationError

__all__ = ["explained", "flat"]


def flat(error: BaseException, limit: int = 300) -> str:
    """An error's text on one line; its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def explained(error: OSError, doing: str) -> PreparationError:
    """The PreparationError for an OSError met while `doing`, with advice for the usual causes."""
    where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    at = f" {Path(where)}" if where else ""
    what = error.strerror or flat(error)
    advice = {
        errno.ENOSPC: "free some space or choose another --data-dir",
        errno.EDQUOT: "free some of your quota or choose another --data-dir",
        errno.EROFS: "choose a --data-dir that can be written",
        errno.EACCES: "check its permissions or choose another --data-dir",
        errno.EPERM: "check its permissions or choose another --data-dir",
        errno.EMFILE: "raise the limit of open files (ulimit -n)",
    }.get(error.errno or 0)
    return PreparationError(f"{doing}: {what}{at}{'; ' + advice if advice else ''}")
