"""TFRecord files and the tf.train.Example messages in them, without TensorFlow.

A TFRecord file is a row of records, numbers little-endian:

    uint64 length | uint32 masked crc of the length | data | uint32 masked crc of the data

with crc = CRC-32C and masked = (crc rotated right by 15 bits) + 0xa282ead8. Each record here is one Example, a map from
names to lists, in the wire format of protocol buffers:

    Example { Features features = 1; }          Features { map<string, Feature> feature = 1; }
    Feature { oneof { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3; } }
    BytesList { repeated bytes value = 1; }     FloatList { repeated float value = 1; }   and so Int64List

Sources: tensorflow.org/tutorials/load_data/tfrecord; tensorflow/core/example/{example,feature}.proto;
protobuf.dev/programming-guides/encoding.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mleb_core.errors import PreparationError
from mleb_mlebench.crc32c import crc32c

__all__ = ["Example", "pack_example", "read_records", "unpack_example", "write_records"]

Example = dict[str, list[bytes] | list[float] | list[int]]
"""The features by name. A feature that holds no list at all is an empty list."""

_VARINT, _FIXED64, _BLOCK, _FIXED32 = 0, 1, 2, 5


def read_records(path: Path) -> Iterator[bytes]:
    """The data of each record, in the order of the file; checksums are checked.

    Raises:
        PreparationError: the file is missing, cut short, or a checksum is wrong.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise PreparationError(f"{path} is missing; a TFRecord file is expected there") from None
    with stream:
        number = 0
        while header := stream.read(12):
            number += 1
            if len(header) < 12:
                raise PreparationError(f"{path}: record {number} is cut short; get it again")
            length, check = struct.unpack("<QI", header)
            if check != _masked(header[:8]):
                raise PreparationError(f"{path}: record {number} is broken (its length fails its checksum)")
            body = stream.read(length + 4)
            if len(body) < length + 4:
                raise PreparationError(f"{path}: record {number} is cut short; get it again")
            if struct.unpack("<I", body[length:])[0] != _masked(body[:length]):
                raise PreparationError(f"{path}: record {number} is broken (its data fails its checksum)")
            yield body[:length]


def write_records(path: Path, records: Iterable[bytes]) -> None:
    """Write a new TFRecord file; its folder is made.

    Raises:
        FileExistsError: the file is there already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        for data in records:
            length = struct.pack("<Q", len(data))
            stream.write(length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data)))


def unpack_example(record: bytes) -> Example:
    """The features of a record.

    Raises:
        PreparationError: it is no Example.
    """
    features: Example = {}
    try:
        for entry in _blocks(record, 1):  # several parts of one message are merged, as the format asks for
            for pair in _blocks(entry, 1):
                name, value = b"", b""
                for number, _, content in _fields(pair):
                    if number == 1 and isinstance(content, bytes):
                        name = content
                    elif number == 2 and isinstance(content, bytes):
                        value = content
                features[name.decode()] = _feature(value)
    except (IndexError, ValueError, struct.error) as error:
        raise PreparationError(f"a record is no tf.train.Example: {error}") from None
    return features


def pack_example(features: Mapping[str, list[bytes] | list[float] | list[int]]) -> bytes:
    """The record of some features, sorted by name: equal features give equal bytes.

    Raises:
        TypeError: a feature is no list of bytes, floats or integers.
    """
    packed = b""
    for name, values in sorted(features.items()):
        if all(isinstance(value, bytes) for value in values):
            number, content = 1, b"".join(_block(1, value) for value in values if isinstance(value, bytes))
        elif all(isinstance(value, int) for value in values):
            number, content = 3, _block(1, b"".join(_varint(int(value)) for value in values))
        elif all(isinstance(value, int | float) for value in values):
            number, content = 2, _block(1, struct.pack(f"<{len(values)}f", *values))
        else:
            raise TypeError(f"feature {name!r}: a list of bytes, of floats or of integers is expected")
        feature = _block(number, content) if values else b""
        packed += _block(1, _block(1, name.encode()) + _block(2, feature))
    return _block(1, packed)


def _feature(message: bytes) -> list[bytes] | list[float] | list[int]:
    kind, content = 0, b""
    for number, _, part in _fields(message):
        if isinstance(part, bytes):
            kind, content = number, part
    if kind == 1:
        return _blocks(content, 1)
    numbers: list[float] = []
    wholes: list[int] = []
    for number, wire, part in _fields(content):  # packed into one block, or one field each
        if number != 1:
            continue
        if kind == 2 and isinstance(part, bytes):
            numbers += struct.unpack(f"<{len(part) // 4}f", part)
        elif kind == 3 and wire == _BLOCK and isinstance(part, bytes):
            at = 0
            while at < len(part):
                value, at = _read_varint(part, at)
                wholes.append(_signed(value))
        elif kind == 3 and isinstance(part, int):
            wholes.append(_signed(part))
    return numbers if kind == 2 else wholes


def _fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """(field number, wire type, content) of each field: an int for a varint, else bytes."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _read_varint(message, at)
            yield key >> 3, wire, value
            continue
        if wire == _BLOCK:
            length, at = _read_varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + length > len(message):
            raise ValueError(f"a field of {length} bytes at byte {at} is longer than its message")
        yield key >> 3, wire, message[at : at + length]
        at += length


def _blocks(message: bytes, wanted: int) -> list[bytes]:
    return [content for number, _, content in _fields(message) if number == wanted and isinstance(content, bytes)]


def _block(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BLOCK) + _varint(len(content)) + content


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that starts at a byte, and the byte after it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"a number at byte {at} is too long")


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # negative numbers are written as two's complement
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
