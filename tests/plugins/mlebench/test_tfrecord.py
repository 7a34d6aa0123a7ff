"""TFRecords: checksums, framing and Examples against known bytes, other computations and real files."""

import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mleb_core.errors import PreparationError
from mleb_mlebench.crc32c import crc32c
from mleb_mlebench.tfrecord import Example, pack_example, read_records, unpack_example, write_records


def bit_by_bit(data: bytes) -> int:
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # RFC 3720, appendix B.4, and the check value of the catalogues of CRCs
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_crc32c_of_published_vectors(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 255, 256, 257, 511, 512, 4999])
def test_crc32c_is_that_of_the_definition(length: int) -> None:
    data = random.Random(length).randbytes(length)
    assert crc32c(data) == bit_by_bit(data)


def test_records_come_back(tmp_path: Path) -> None:
    records = [b"", b"x", bytes(range(256)) * 7]
    write_records(tmp_path / "folder" / "a.tfrec", records)
    assert list(read_records(tmp_path / "folder" / "a.tfrec")) == records


def test_an_example_in_bytes_written_by_hand() -> None:
    # by the encoding guide: field 1, length-delimited is 0x0a; 150 as varint is 96 01; 1.5 as float is 00 00 c0 3f
    # -1 takes ten bytes: nine ff, one 01
    whole = b"\x0a\x01n\x12\x10\x1a\x0e\x0a\x0c\x96\x01" + b"\xff" * 9 + b"\x01"
    number = b"\x0a\x01f\x12\x08\x12\x06\x0a\x04\x00\x00\xc0\x3f"
    text = b"\x0a\x01t\x12\x07\x0a\x05\x0a\x01a\x0a\x00"
    loose = b"\x0a\x01u\x12\x06\x1a\x04\x08\x05\x08\x07"  # unpacked: one field each
    entries = b"".join(b"\x0a" + bytes([len(entry)]) + entry for entry in (whole, number, text, loose))
    record = b"\x0a" + bytes([len(entries)]) + entries
    expected: Example = {"n": [150, -1], "f": [1.5], "t": [b"a", b""], "u": [5, 7]}
    assert unpack_example(record) == expected
    assert unpack_example(pack_example(expected)) == expected


def test_an_example_of_all_kinds_comes_back() -> None:
    features: Example = {
        "image": [b"\xff\xd8" + bytes(70000)],
        "name": ["é.jpg".encode()],
        "empty": [],
        "target": [0, 1, 2**63 - 1, -(2**63)],
        "share": [0.5, -0.0, float("inf")],
    }
    assert unpack_example(pack_example(features)) == features


def test_real_record_files_read(shared: Path, tmp_path: Path) -> None:
    case = shared / "golden" / "cassava-leaf-disease-classification" / "raw.zip"
    with zipfile.ZipFile(case) as archive:
        names = [name for name in archive.namelist() if name.endswith(".tfrec")]
        for name in names:
            archive.extract(name, tmp_path)
    for name in names:
        records = list(read_records(tmp_path / name))
        assert len(records) == int(Path(name).stem.split("-")[1])
        for record in records:
            features = unpack_example(record)
            (image,) = features["image"]
            assert isinstance(image, bytes)
            assert image.startswith(b"\xff\xd8")
        copy = tmp_path / "copy" / name
        write_records(copy, records)
        assert copy.read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data[:-1], "record 2 is cut short"),
        (lambda data: data[: len(data) - 20], "record 2 is cut short"),
        (lambda data: b"\x09" + data[1:], "record 1 is broken (its length fails its checksum)"),
        (lambda data: data[:14] + b"#" + data[15:], "record 1 is broken (its data fails its checksum)"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, change: Callable[[bytes], bytes], problem: str) -> None:
    path = tmp_path / "a.tfrec"
    write_records(path, [b"hello world", b"and more"])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(PreparationError) as error:
        list(read_records(path))
    assert str(error.value).startswith(f"{path}: {problem}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match="is missing; a TFRecord file is expected"):
        list(read_records(tmp_path / "a.tfrec"))


@pytest.mark.parametrize("record", [b"\x0a\xff", b"\x0a\x05abc", b"\x0b", struct.pack("<Q", 2**63) * 2, b"\x0a" * 3])
def test_what_is_no_example_is_refused(record: bytes) -> None:
    with pytest.raises(PreparationError, match=r"no tf\.train\.Example"):
        unpack_example(record)
