"""The references: the fingerprints of all public solutions in a folder, kept in the user's cache directory.

The index of a folder is one file, `plagiarism/<hash of the folder's path>.npz` below mleb's cache directory. It is made
again when files came, went or changed (path, size, time of change), and takes over what did not change.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mleb_core.environments import cache_dir
from mleb_core.errors import UsageError
from mleb_core.layout import write_whole
from mleb_core.run_code.sources import LANGUAGES, Source, Unreadable, files_below, read_code
from mleb_plagiarism.families import families
from mleb_plagiarism.tokens import VERSION, normalised
from mleb_plagiarism.winnow import WINDOW, Hashes, K, fingerprints

__all__ = ["ABOUT", "COMMON_FAMILIES", "COMMON_SHARE", "Corpus", "Reference", "index_path", "open_corpus"]

ABOUT = "notebooks.json"
"""Where a corpus may tell of its files: a JSON object, by path, of objects with title, author, votes, url."""
COMMON_SHARE = 0.2
COMMON_FAMILIES = 3
_FORMAT = f"1 {VERSION} {K} {WINDOW}"


@dataclass(frozen=True)
class Reference:
    """A public solution."""

    path: str
    """Below the corpus' folder."""
    bytes: int
    """Size of the file."""
    changed_ns: int
    """When it was changed, as the file system says."""
    note: str = ""
    """Why it has no fingerprints, where it could not be read."""
    url: str = ""
    """Where it is for all to see, if known."""
    title: str = ""
    """Its title, if known."""
    author: str = ""
    """Who wrote it, if known."""


class Corpus:
    """References and their fingerprints."""

    def __init__(
        self, folder: Path, references: list[Reference], hashes: Hashes, offsets: npt.NDArray[np.int64]
    ) -> None:
        """Args:
        folder: where the files are.
        references: the documents.
        hashes: their fingerprints, document after document, of each ascending.
        offsets: where those of each document begin; one more than there are documents.
        """
        self.folder, self.references = folder, references
        self._hashes, self._offsets = hashes, offsets
        counts = np.diff(offsets)
        self.family = families(hashes, offsets)
        """The family of each document: near copies of one another."""
        self.families = len(np.unique(self.family[counts > 0])) if len(counts) else 0
        """How many there are, of documents that could be read."""
        order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[order]
        self._documents = np.repeat(np.arange(len(counts)), counts)[order]
        self.common = self._common_ones()
        """Fingerprints that stand in a large share of the families, ascending: what everybody writes."""
        left = ~np.isin(hashes, self.common)
        self.counted = np.bincount(np.repeat(np.arange(len(counts)), counts)[left], minlength=len(counts))
        """Fingerprints of each document that are not common."""

    def _common_ones(self) -> Hashes:
        """Fingerprints that stand in a large share of the families: what everybody writes."""
        if not len(self._sorted):
            return self._sorted
        family = self.family[self._documents]
        new = np.empty(len(family), bool)
        new[0] = True
        order = np.lexsort((family, self._sorted))
        hashes, family = self._sorted[order], family[order]
        new[1:] = (hashes[1:] != hashes[:-1]) | (family[1:] != family[:-1])
        values, counts = np.unique(hashes[new], return_counts=True)
        return values[(counts >= COMMON_FAMILIES) & (counts > COMMON_SHARE * self.families)]

    @property
    def notes(self) -> list[str]:
        """References that could not be read, a line each."""
        return [f"{reference.path}: {reference.note}" for reference in self.references if reference.note]

    def uncommon(self, hashes: Hashes) -> Hashes:
        """Those that are not common among the references."""
        return hashes[~np.isin(hashes, self.common)]

    def shared(self, hashes: Hashes) -> tuple[npt.NDArray[np.int64], int]:
        """How many of some fingerprints, each there once, stand in each document; and how many in any."""
        first = np.searchsorted(self._sorted, hashes, "left")
        last = np.searchsorted(self._sorted, hashes, "right")
        counts = last - first
        found = np.flatnonzero(counts)
        if not len(found):
            return np.zeros(len(self.references), np.int64), 0
        spans = np.repeat(first[found] - np.concatenate(([0], np.cumsum(counts[found])[:-1])), counts[found])
        documents = self._documents[spans + np.arange(len(spans))]
        return np.bincount(documents, minlength=len(self.references)), len(found)

    def source(self, document: int) -> Source | None:
        """The code of a reference; None where its file is no more what it was."""
        reference = self.references[document]
        try:
            found = read_code(self.folder / reference.path, reference.path)
        except Unreadable:
            return None
        return found[0] if found else None


def index_path(folder: Path) -> Path:
    """Where the index of a folder is kept."""
    name = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:24]
    return cache_dir() / "plagiarism" / f"{name}.npz"


def open_corpus(folder: Path, *, cache: bool = True, progress: Callable[[str], None] | None = None) -> Corpus:
    """The references in a folder: all scripts and notebooks below it.

    Args:
        folder: of public solutions, in folders as one likes.
        cache: whether an index is read and written.
        progress: gets a few words now and then.

    Raises:
        UsageError: there is no such folder, or it cannot be read, or holds no code.
    """
    say = progress or (lambda _: None)
    try:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder; expected is one with public solutions (.ipynb, .py, .r, ...)")
        wanted = list(_references(folder))
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    if not wanted:
        raise UsageError(f"{folder} holds no code; expected are public solutions (.ipynb, .py, .r, ...)")
    path = index_path(folder)
    known = _load(path) if cache else {}
    references, parts, made = [], [], 0
    for reference in wanted:
        found = known.get((reference.path, reference.bytes, reference.changed_ns))
        if found is None:
            found = _printed(folder, reference)
            made += 1
            if made % 500 == 0:
                say(f"fingerprints of {made:,} notebooks")
        references.append(Reference(**{**asdict(reference), "note": found[0]}))
        parts.append(found[1])
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in parts]))).astype(np.int64)
    hashes = np.concatenate(parts)
    if cache and (made or len(known) != len(references)):
        _save(path, references, hashes, offsets, say)
    return Corpus(folder, references, hashes, offsets)


def _references(folder: Path) -> Iterable[Reference]:
    about = _about(folder)
    for path in files_below(folder):
        if path.suffix.lower() in LANGUAGES or path.suffix.lower() in (".ipynb", ".rmd"):
            name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
            facts, told = path.stat(), about.get(name, {})
            words = {key: str(told.get(key) or "") for key in ("url", "title", "author")}
            yield Reference(name, facts.st_size, facts.st_mtime_ns, **words)


def _about(folder: Path) -> dict[str, dict[str, Any]]:
    """What files `notebooks.json`, also of folders one level below, tell of references, by path from the corpus on."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted([*folder.glob(ABOUT), *folder.glob(f"*/{ABOUT}")]):
        try:
            told = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue  # titles only
        if isinstance(told, dict):
            before = path.parent.relative_to(folder)
            found |= {(before / name).as_posix(): facts for name, facts in told.items() if isinstance(facts, dict)}
    return found


def _printed(folder: Path, reference: Reference) -> tuple[str, Hashes]:
    try:
        sources = read_code(folder / reference.path, reference.path)
    except Unreadable as error:
        return str(error), np.empty(0, np.uint64)
    tokens = normalised(sources[0].text, sources[0].language)
    return "" if len(tokens) else "it holds no code", fingerprints(tokens)[0]


Known = dict[tuple[str, int, int], tuple[str, Hashes]]


def _load(path: Path) -> Known:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            head = json.loads(kept["head"].tobytes())
            hashes, offsets = kept["hashes"], kept["offsets"]
        if head["format"] != _FORMAT or len(offsets) != len(head["references"]) + 1 or offsets[-1] != len(hashes):
            return {}
        return {
            (one["path"], one["bytes"], one["changed_ns"]): (one["note"], hashes[offsets[i] : offsets[i + 1]])
            for i, one in enumerate(head["references"])
        }
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return {}  # none yet, or one that another version wrote: it is made anew


def _save(
    path: Path,
    references: Collection[Reference],
    hashes: Hashes,
    offsets: npt.NDArray[np.int64],
    say: Callable[[str], None],
) -> None:
    head = json.dumps({"format": _FORMAT, "references": [asdict(one) for one in references]}).encode()
    stream = io.BytesIO()
    np.savez(stream, head=np.frombuffer(head, np.uint8), hashes=hashes, offsets=offsets)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, stream.getvalue(), durable=False)
    except OSError as error:
        say(f"the index cannot be kept in {path}: {error.strerror}")
