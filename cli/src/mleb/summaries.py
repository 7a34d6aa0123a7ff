"""What listings say of competitions, kept between calls.

Reading a competition.toml takes about a millisecond; a hundred of them would take longer than all the rest of
`mleb list`. So their summaries are cached, by the file's path, size and time of change. The cache is only that:
it may be deleted, damaged or unwritable, and nothing but time is lost.
"""

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mleb import __version__
from mleb_core.competition import Competition
from mleb_core.errors import MlebError
from mleb_core.layout import write_whole

__all__ = ["cache_file", "competition_summaries"]

Summary = dict[str, Any]
"""id, title, category, complexity, splits, editions, known_issues; or id and error."""


def cache_file() -> Path:
    """Where the cache is: mleb/competitions.json in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mleb" / "competitions.json"


def competition_summaries(competitions: Iterable[Competition]) -> list[Summary]:
    """The summaries of competitions, in their order; one with a wrong file has its error instead."""
    path = cache_file()
    kept = _read(path)
    found: dict[str, Any] = {}
    summaries = []
    for competition in competitions:
        key = str(competition.folder)
        stamp = _stamp(f"{key}/competition.toml")
        entry = kept.get(key)
        if stamp is None or not isinstance(entry, dict) or entry.get("stamp") != stamp:
            entry = {"stamp": stamp, "summary": _summary(competition)}
        summaries.append(entry["summary"])
        if stamp is not None and "error" not in entry["summary"]:
            found[key] = entry
    if any(kept.get(key) != entry for key, entry in found.items()):
        # Other environments share the file: theirs stay as long as their folders do.
        others = {key: entry for key, entry in kept.items() if key not in found and os.path.isdir(key)}  # noqa: PTH112
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({"version": __version__, "competitions": others | found}), durable=False)
    return summaries


def _summary(competition: Competition) -> Summary:
    try:
        issues = competition.document.get("known_issues", [])
        return {
            "id": competition.id,
            "title": competition.title,
            "category": competition.category,
            "complexity": competition.complexity,
            "splits": list(competition.splits),
            "editions": list(competition.editions),
            "known_issues": len(issues) if isinstance(issues, list) else 0,
        }
    except MlebError as error:
        return {"id": competition.id, "error": str(error)}


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  a hundred of these count, and their paths
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("version") != __version__:
        return {}
    kept = content.get("competitions")
    return kept if isinstance(kept, dict) else {}
