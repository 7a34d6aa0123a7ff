"""TFRecord files of tf.train.Example: records of a length (8 bytes), its checksum (4), the data, its checksum (4).

The data is a protocol buffer: Example { Features features = 1 }, Features { map<string, Feature> feature = 1 },
Feature { oneof BytesList bytes_list = 1, FloatList float_list = 2, Int64List int64_list = 3 }, each list { repeated
value = 1 }.
"""

import struct
from collections.abc import Iterator
from typing import IO, Any

from mleb_leaks.formats.record import Record, Unreadable

__all__ = ["read_tfrecord"]

_LONGEST_TEXT = 256
_LARGEST = 512 << 20


def read_tfrecord(stream: IO[bytes]) -> Iterator[Record]:
    """Examples, one at a time; values that are long or no text (encoded images) are left out.

    Raises:
        Unreadable: it is no such file.
    """
    row = 0
    while head := stream.read(12):
        if len(head) < 12:
            raise Unreadable("it ends within a record")
        (length,) = struct.unpack("<Q", head[:8])
        if length > _LARGEST:
            raise Unreadable("it is no TFRecord file")
        data = stream.read(length)
        stream.read(4)
        try:
            yield Record(dict(_example(data)), row)
        except (IndexError, struct.error, KeyError, ValueError):
            raise Unreadable(f"record {row} is no example") from None
        row += 1


def _example(data: bytes) -> Iterator[tuple[str, Any]]:
    for number, features in _fields(data):
        if number != 1:
            continue
        for _, entry in _fields(features):
            parts = dict(_fields(entry))
            for kind, values in _fields(parts.get(2, b"")):
                found = _values(kind, values)
                if found is not None:
                    yield parts[1].decode("utf-8", "replace"), found[0] if len(found) == 1 else found


def _values(kind: int, data: bytes) -> tuple[Any, ...] | None:
    found: list[Any] = []
    for _, value in _fields(data):
        if kind == 1:
            if len(value) > _LONGEST_TEXT:
                return None
            try:
                found.append(value.decode())
            except UnicodeDecodeError:
                return None
        elif kind == 2:
            found += struct.unpack(f"<{len(value) // 4}f", value)
        elif isinstance(value, int):
            found.append(_signed(value))
        else:
            at = 0
            while at < len(value):
                number, at = _varint(value, at)
                found.append(_signed(number))
    return tuple(found) if found else None


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value: Any
            value, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        else:
            raise ValueError("no protocol buffer")
        yield tag >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError("no varint")
