"""The viewer as files that open from disk: the same pages, without a server's more.

What a page would ask a server for it brings along, up to a limit for each run; what is left out is said on the page.
"""

import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mleb.view.comparing import choices, chosen, comparison
from mleb.view.files import FileProblem
from mleb.view.index import GroupIndex, Key
from mleb.view.ledgers import ledger_page
from mleb.view.pages import STATIC, address, render
from mleb.view.passages import passage
from mleb.view.runs import shown_files
from mleb.view.site import Site
from mleb_core.errors import MlebError, UsageError
from mleb_core.layout import RunLayout, write_json
from mleb_core.run import now

__all__ = ["export_site"]

MOST_LOG = 128 << 10
"""Bytes of a log's head, and of its tail."""
MOST_FILE = 64 << 10
"""Bytes of a file's head."""
MOST_FILES = 1 << 20
"""Bytes of all files of a run together."""
MOST_EXCHANGES = 40
"""Exchanges from a transcript's head, and from its tail."""
MOST_PAIRS = 28
"""Pairs of agents that are compared: all pairs of eight."""
MARKER = "mleb-export.json"
"""Says that a directory is an export, which may be replaced by a newer one."""


def export_site(site: Site, target: Path) -> int:
    """Write all pages; the directory is there whole or as it was.

    Args:
        site: made with `served=False`.
        target: a directory; may be there if it is empty or an earlier export.

    Returns:
        How many pages there are.

    Raises:
        UsageError: something else is there.
        MlebError: it cannot be written.
    """
    _check(target)
    draft: Path | None = None
    try:
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=target.absolute().parent, prefix=f".{target.name}.", suffix=".tmp"))
        draft.chmod(0o755)
        pages = _write_all(site, draft)
        write_json(draft / MARKER, {"format_version": 1, "created_at": now(), "pages": pages}, durable=False)
        _put(draft, target.absolute())
        return pages
    except OSError as error:
        raise MlebError(f"{error.filename or target}: {error.strerror or error}; choose another --export") from None
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _check(target: Path) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir() or (any(target.iterdir()) and not (target / MARKER).is_file()):
        raise UsageError(f"{target} is there already and is no export of mleb's; name a new directory")


def _put(draft: Path, target: Path) -> None:
    """Put the draft in its place; what was there goes only when it stands."""
    old = None
    if target.exists():
        old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".old"))
        target.rename(old / "export")
    try:
        draft.rename(target)
    except OSError:
        if old is not None:
            (old / "export").rename(target)
        raise
    finally:
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)


def _write_all(site: Site, root: Path) -> int:
    static = root / "static"
    static.mkdir()
    for name, path in STATIC.items():
        shutil.copyfile(path, static / name)
    pages = _write(root, ("index.html",), site.list())
    for group in site.index.groups():
        if group.group is not None:
            pages += _write_group(site, group, root)
    return pages + _write_comparisons(site, root)


def _write_group(site: Site, group: GroupIndex, root: Path) -> int:
    here = ("groups", group.name)
    pages = _write(root, (*here, "index.html"), site.group(group))
    for competition in group.group.competitions if group.group else ():
        pages += _write(root, (*here, competition, "index.html"), site.competition(group, competition))
    for key in group.each():
        place = group.layout.run(key.competition, key.agent, key.seed)
        names = (*here, key.competition, group.agent_folder(key.agent), str(key.seed), "index.html")
        pages += _write(root, names, site.run(group, key, place, kept=_kept(site, group, key, place)))
    return pages


def _write_comparisons(site: Site, root: Path) -> int:
    known = choices(site.index)
    all_pairs = list(itertools.combinations(known, 2))
    pairs: list[dict[str, Any]] = []
    pages = 0
    for number, (one, other) in enumerate(all_pairs[:MOST_PAIRS], 1):
        a, b = chosen(site.index, one["value"]), chosen(site.index, other["value"])
        if a is None or b is None:
            continue
        found = comparison(a, b, site.statistics)
        pairs.append({"file": f"{number}.html", "a": one, "b": other})
        pages += _write(root, ("compare", f"{number}.html"), _comparison_page(found=found))
    left = len(all_pairs) - len(pairs)
    return pages + _write(root, ("compare", "index.html"), _comparison_page(pairs=pairs, pairs_left=left))


def _comparison_page(**values: Any) -> str:
    return render("compare.html", depth=1, served=False, **{"problem": "", "found": None, **values})


def _kept(site: Site, group: GroupIndex, key: Key, place: RunLayout) -> dict[str, Any]:
    """What a run's page would ask a server for."""
    base = group.directory
    return {
        "log": _head_and_tail(base, place.log),
        "transcript": _transcript(site, base, place),
        "ledger": _ledger(base, place),
        "files": _files(group, place),
    }


def _head_and_tail(base: Path, path: Path) -> dict[str, Any]:
    try:
        head = passage(base, path, start=0, length=MOST_LOG)
        tail = passage(base, path, length=MOST_LOG)
    except FileProblem as problem:
        return {"problem": "There is none." if problem.missing else str(problem)}
    if tail.start < head.end:  # they meet: what is left of the tail goes on where the head ends
        tail = passage(base, path, start=head.end, length=MOST_LOG)
    return {
        "size": head.size,
        "head": head.text,
        "tail": tail.text if tail.end > head.end else "",
        "left_out": max(0, tail.start - head.end) + max(0, head.size - max(tail.end, head.end)),
    }


def _transcript(site: Site, base: Path, place: RunLayout) -> dict[str, Any]:
    try:
        found = site.transcripts.exchanges(base, place.transcript, 0, 2 * MOST_EXCHANGES)
        if found["total"] > 2 * MOST_EXCHANGES:
            found["items"] = found["items"][:MOST_EXCHANGES]
            found["items"] += site.transcripts.exchanges(base, place.transcript, -MOST_EXCHANGES, MOST_EXCHANGES)[
                "items"
            ]
    except FileProblem as problem:
        return {"problem": str(problem), "missing": problem.missing}
    return {**found, "left_out": found["total"] - len(found["items"])}


def _ledger(base: Path, place: RunLayout) -> dict[str, Any]:
    try:
        found = ledger_page(base, place.ledger, 0)
    except FileProblem as problem:
        return {"problem": str(problem), "missing": problem.missing}
    return {**found, "left_out": found["total"] - len(found["entries"])}


def _files(group: GroupIndex, place: RunLayout) -> dict[str, Any]:
    """The heads of the files that the agent left, code first, until the limit."""
    found: dict[str, Any] = {}
    left = MOST_FILES
    listed: Sequence[dict[str, Any]] = [
        file for part in shown_files(group, place).values() for file in part.get("files", ())
    ]
    for file in listed:
        if file["refused"] or left <= 0:
            continue
        try:
            head = passage(group.directory, place.root.joinpath(*file["path"].split("/")), start=0, length=MOST_FILE)
        except MlebError as problem:
            found[address(file["path"])] = {"problem": str(problem)}
            continue
        left -= head.end
        found[address(file["path"])] = {
            "size": head.size,
            "head": head.text,
            "tail": "",
            "left_out": head.size - head.end,
        }
    return found


def _write(root: Path, names: Sequence[str], page: str) -> int:
    """Write a page; how many that were."""
    path = root.joinpath(*names)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", errors="backslashreplace")
    return 1
