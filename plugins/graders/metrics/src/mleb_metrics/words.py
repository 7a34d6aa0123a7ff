"""Words of many cells as numbers, so that sets and lists of words can be compared for many rows at once.

It gives up (None) where cells are not plain: text beyond ASCII, NUL bytes, words of more than 64 bytes, a cell of very
many words. Callers then go through the rows one by one with Python's sets, which says the same and takes longer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mleb_core.grading.texts import joined
from mleb_metrics.arrays import Flags, Ints

__all__ = ["ROWS", "Cells", "Words", "pieces", "read_words"]

Parts = npt.NDArray[np.uint64]
Cells = Any
"""Texts: a sequence of str, or the array in which pandas keeps a text column; slices of it are the same."""

ROWS = 20_000
"""Cells to go through at a time, where they can be taken in pieces: what they become stays in the processor's cache."""

_MOST_BYTES = 64
_MOST_PLACES = 256
_MOST_NUMBERS = 2**26  # that the words of all cells become, padding included: 512 MiB
_PART = 8  # bytes of a word that make a number
_MASKS = np.array(  # [part, length]: which bits of a part belong to a word of so many bytes
    [
        [(1 << (8 * min(max(length - start, 0), _PART))) - 1 for length in range(_MOST_BYTES + 1)]
        for start in range(0, _MOST_BYTES, _PART)
    ],
    dtype=np.uint64,
)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth's multiplicative hashing
_BLANKS: Flags = np.zeros(33, dtype=bool)
_BLANKS[[0, 9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = True  # where str.split() cuts ASCII text; 0 ends a cell here


@dataclass(frozen=True)
class Words:
    """The words of n cells, at most k in each."""

    parts: Parts
    """parts[:, i, j] are the bytes of the i-th word of cell j, eight a number, shape (p, k, n); all 0: no word.

    The later parts are mixed into the first one, so that it alone tells nearly all words apart."""

    @property
    def present(self) -> Flags:
        """Where there is a word, shape (k, n)."""
        return np.asarray(self.parts[0] != 0)

    @property
    def counts(self) -> Ints:
        """Words of each cell, shape (n,)."""
        return np.asarray(np.count_nonzero(self.parts[0], axis=0))

    def of(self, cells: Ints) -> "Words":
        """Those of some cells, by position."""
        return Words(self.parts[:, :, cells])

    def distinct(self) -> "Words":
        """The same with repeats in a cell left out; a word's place stays what it was."""
        repeats = np.zeros(self.parts.shape[1:], dtype=bool)
        for place, filled in enumerate(self.present[1:], 1):
            rows = _filled_rows(filled)
            again = _equal(self.parts[:, :place], self.parts[:, place : place + 1], rows, filled)
            if again.any():
                repeats[place, rows] = again.any(axis=0)
        return Words(self.parts * ~repeats) if repeats.any() else self

    def among(self, others: "Words") -> Flags:
        """Which of these words are in the same cell of others, shape (k, n)."""
        found = np.zeros(self.parts.shape[1:], dtype=bool)
        for place, filled in enumerate(others.present):
            rows = _filled_rows(filled)
            same = _equal(self.parts, others.parts[:, place : place + 1], rows, filled)
            if same.any():
                found[:, rows] |= same
        return found

    def known_to(self, others: "Words") -> "Words | None":
        """The same without the words that are in no cell of others; None where two of theirs have one hash."""
        import pandas as pd

        theirs = others.parts[:, others.present]
        codes, hashes = pd.factorize(_hashes(theirs))
        first = np.empty(len(hashes), dtype=np.intp)
        first[codes] = np.arange(len(codes))
        known = theirs[:, first]
        if not _equal(theirs, known[:, codes]).all():
            return None
        flat = _hashes(self.parts.reshape(len(self.parts), -1))
        place = np.asarray(pd.Index(hashes).get_indexer(pd.Index(flat))).reshape(self.parts.shape[1:])
        kept = (place >= 0) & (_equal(self.parts, known[:, place]) if len(first) else False)
        return Words(self.parts * kept)


def read_words(
    truth: Cells, predicted: Cells, *, separator: str | None = None, first: int | None = None
) -> tuple[Words, Words] | None:
    """The words of both sides; None where the cells are not plain.

    Args:
        truth: n texts, words separated by white space as `str.split()` has it.
        predicted: n texts.
        separator: of the predictions. None: white space; " ": a single blank, so that two of them in a row leave a
            place without a word.
        first: keep only so many places of each prediction; None: all.
    """
    if separator not in (None, " "):
        return None
    wanted, found = _cut(truth, None, None), _cut(predicted, separator, first)
    if wanted is None or found is None:
        return None
    parts = max(len(wanted), len(found))
    return Words(_mixed(_widened(wanted, parts))), Words(_mixed(_widened(found, parts)))


def pieces(rows: int, most: int = ROWS) -> Iterator[slice]:
    """Slices of rows, so many at most."""
    for start in range(0, rows, most):
        yield slice(start, min(start + most, rows))


def _cut(cells: Cells, separator: str | None, first: int | None) -> Parts | None:
    """The parts of all words, as in `Words`."""
    data, size = _bytes(cells)
    if size and data.max() > 127:
        return None
    ends = np.flatnonzero(data[:size] <= 32)  # the cells' NULs included
    found = data[ends]
    cuts = _BLANKS[found] if separator is None else (found == 0) | (found == ord(separator))
    if not cuts.all():
        ends, found = ends[cuts], found[cuts]
    last = np.flatnonzero(found == 0) + 1
    if len(last) != len(cells):
        return None
    starts = np.empty_like(ends)
    starts[:1], starts[1:] = 0, ends[:-1] + 1
    lengths = ends - starts
    if separator is None and not lengths.all():
        words = np.flatnonzero(lengths)
        last = np.searchsorted(words, last)
        starts, lengths = starts[words], lengths[words]
    counts = np.diff(last, prepend=0)
    places = max(int(counts.max(initial=0)), 1)
    if places > _MOST_PLACES:
        return None
    # Where each word goes in a flat (places, cells): its place in its cell, then its cell.
    cell = np.arange(len(cells)).repeat(counts)
    goes = (np.arange(len(starts)) - (last - counts)[cell]) * len(cells) + cell
    if first is not None and places > first:
        kept = np.flatnonzero(goes < first * len(cells))
        starts, lengths, goes, places = starts[kept], lengths[kept], goes[kept], first
    longest = int(lengths.max(initial=1))
    number = -(-longest // _PART)
    if longest > _MOST_BYTES or number * places * len(cells) > _MOST_NUMBERS:
        return None
    eights = np.ndarray((len(data) - _PART + 1,), dtype="<u8", buffer=data, strides=(1,))
    parts = np.zeros((number, places * len(cells)), dtype=np.uint64)
    for part in range(number):
        parts[part][goes] = eights[starts + _PART * part] & _MASKS[part][lengths]
    return parts.reshape(number, places, len(cells))


def _bytes(cells: Cells) -> tuple[npt.NDArray[np.uint8], int]:
    """The bytes of all cells, a NUL after each, and how many; more NULs follow, so that parts can be read there."""
    data = joined(cells)
    if data is None:
        text = "\0".join([*cells, ""])
        data = np.frombuffer(text.encode(errors="surrogatepass"), dtype=np.uint8)
    return np.concatenate([data, np.zeros(_MOST_BYTES + 1, dtype=np.uint8)]), len(data)


def _widened(parts: Parts, number: int) -> Parts:
    """So many parts, those behind the last 0."""
    more = number - len(parts)
    return np.concatenate([parts, np.zeros((more, *parts.shape[1:]), dtype=np.uint64)]) if more else parts


def _mixed(parts: Parts) -> Parts:
    """Mix the later parts into the first. Its lowest byte stays: it is 0 where there is no word, and there only."""
    if len(parts) > 1:
        mix = parts[1] * _FACTOR
        for part in parts[2:]:
            mix = (mix ^ part) * _FACTOR
        parts[0] ^= (mix >> np.uint64(8)) << np.uint64(8)
    return parts


def _filled_rows(filled: Flags) -> slice | Ints:
    """The cells to look at, where few are filled; else all, which is quicker than to pick most."""
    rows = np.flatnonzero(filled)
    return rows if 8 * len(rows) < len(filled) else slice(None)


def _equal(a: Parts, b: Parts, rows: slice | Ints = slice(None), among: Flags | None = None) -> Flags:
    """Where all parts are equal, shape (..., rows).

    Args:
        a: shape (p, ..., n).
        b: shape (p, ..., n).
        rows: of n, these.
        among: of n, only where it is set, shape (n,).
    """
    same = np.asarray(a[0][..., rows] == b[0][..., rows])
    if among is not None:
        same &= among[rows]
    for left, right in zip(a[1:], b[1:], strict=True):
        if not same.any():
            break
        same &= left[..., rows] == right[..., rows]
    return same


def _hashes(parts: Parts) -> Parts:
    hashes = parts[0]
    for part in parts[1:]:
        hashes = (hashes ^ (hashes >> np.uint64(29))) * _FACTOR + part
    return np.asarray(hashes)
