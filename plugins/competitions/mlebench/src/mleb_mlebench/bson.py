"""Walking through a BSON file, as `mongodump` writes it, without decoding what is not needed.

The file is a row of documents. A document is an int32 with its length in bytes, itself included, then elements, then a
zero byte; an element is a type byte, its name ended by a zero byte, and a value whose length follows from the type.
Documents can thus be passed on, or lose an element, byte for byte. Source: bsonspec.org, version 1.1.
"""

import mmap
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

from mleb_core.errors import PreparationError

__all__ = ["BsonFile"]

_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0xFF: 0, 0x7F: 0}
"""Lengths of values by type: double, undefined, object id, bool, date, null, int32, timestamp, int64, decimal128 ..."""
_WHOLE = {0x10: "<i", 0x12: "<q"}
_TEXTS = (0x02, 0x0D, 0x0E)  # string, code, symbol: an int32 length in front, itself not counted
_NESTED = (0x03, 0x04, 0x0F)  # document, array, code with scope: the same, itself counted


class BsonFile:
    """A BSON file, opened for reading; a document is named by its place, (first byte, byte after the last)."""

    def __init__(self, path: Path) -> None:
        """Raises:
        PreparationError: the file is missing or empty.
        """
        self.path = path
        try:
            with path.open("rb") as stream:
                self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            raise PreparationError(f"{path} is missing; a BSON file is expected there") from None
        except ValueError:  # nothing to map
            raise PreparationError(f"{path} is empty; BSON documents are expected there") from None

    def __enter__(self) -> "BsonFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    def places(self) -> Iterator[tuple[int, int]]:
        """Each document's place, in the order of the file.

        Raises:
            PreparationError: the file is cut short or no BSON.
        """
        at, size = 0, len(self._data)
        while at < size:
            end = at + struct.unpack_from("<i", self._data, at)[0] if at + 4 <= size else size + 1
            if not at + 5 <= end <= size or self._data[end - 1] != 0:
                raise PreparationError(f"{self.path}: the document at byte {at} is broken or cut short; get it again")
            yield at, end
            at = end

    def integers(self, place: tuple[int, int], names: Collection[str]) -> dict[str, int]:
        """Whole numbers that a document has at its top level.

        Raises:
            PreparationError: one is missing or no int32 or int64.
        """
        found: dict[str, int] = {}
        for name, type_, start, end in self._elements(place):
            if name in names:
                if type_ not in _WHOLE:
                    raise PreparationError(f"{self.path}: {name!r} at byte {start} is no whole number")
                found[name] = struct.unpack(_WHOLE[type_], self._data[end - (4 if type_ == 0x10 else 8) : end])[0]
                if len(found) == len(names):
                    return found
        missing = next(name for name in names if name not in found)
        raise PreparationError(f"{self.path}: the document at byte {place[0]} has no {missing!r}")

    def document(self, place: tuple[int, int], without: str | None = None) -> bytes:
        """A document's bytes, with or without its elements of one name."""
        if without is None:
            return self._data[place[0] : place[1]]
        kept = b"".join(self._data[start:end] for name, _, start, end in self._elements(place) if name != without)
        return struct.pack("<i", len(kept) + 5) + kept + b"\0"

    def _elements(self, place: tuple[int, int]) -> Iterator[tuple[str, int, int, int]]:
        """(name, type, first byte, byte after the last) of each element at the top level."""
        data, start, stop = self._data, place[0] + 4, place[1] - 1
        while start < stop:
            type_ = data[start]
            value = data.find(b"\0", start + 1, stop) + 1
            end = value + self._length(type_, value) if value else stop + 1
            if not value <= end <= stop:
                raise PreparationError(f"{self.path}: the element at byte {start} is longer than its document")
            yield data[start + 1 : value - 1].decode(errors="replace"), type_, start, end
            start = end

    def _length(self, type_: int, at: int) -> int:
        if type_ in _FIXED:
            return _FIXED[type_]
        if type_ == 0x0B:  # regular expression: two texts, each ended by a zero byte
            return self._data.find(b"\0", self._data.find(b"\0", at) + 1) + 1 - at
        length = int.from_bytes(self._data[at : at + 4], "little", signed=True)
        if type_ in _TEXTS:
            return 4 + length
        if type_ in _NESTED:
            return length
        if type_ == 0x05:  # binary: a subtype byte behind the length
            return 5 + length
        if type_ == 0x0C:  # database pointer: a text and an object id
            return 4 + length + 12
        raise PreparationError(f"{self.path}: type {type_:#04x} at byte {at} is none of BSON's")
