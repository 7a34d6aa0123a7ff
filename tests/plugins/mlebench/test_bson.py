"""BSON files: walking through documents, numbers in them, documents without an element."""

import struct
from pathlib import Path

import pytest

from mleb_core.errors import PreparationError
from mleb_mlebench.bson import BsonFile

# By bsonspec.org: type, name, value. The documents are put together by hand.
ELEMENTS = {
    "number": b"\x01number\0" + struct.pack("<d", 1.5),
    "text": b"\x02text\0" + struct.pack("<i", 6) + "é a!".encode() + b"\0",
    "binary": b"\x05binary\0" + struct.pack("<i", 5) + b"\0" + b"\xff\xd8\0\0\x10",
    "nothing": b"\x0anothing\0",
    "expression": b"\x0bexpression\0" + b"a+\0i\0",
    "id": b"\x07id\0" + bytes(range(12)),
    "when": b"\x09when\0" + struct.pack("<q", -1),
    "code": b"\x0dcode\0" + struct.pack("<i", 3) + b"x;\0",
    "pointer": b"\x0cpointer\0" + struct.pack("<i", 2) + b"c\0" + bytes(12),
    "lowest": b"\xfflowest\0",
    "small": b"\x10small\0" + struct.pack("<i", -5),
    "large": b"\x12large\0" + struct.pack("<q", 2**40),
}
INNER = b"\x10small\0" + struct.pack("<i", 77)
ELEMENTS["nested"] = b"\x03nested\0" + struct.pack("<i", len(INNER) + 5) + INNER + b"\0"
ELEMENTS["list"] = b"\x04list\0" + struct.pack("<i", len(INNER) + 5) + INNER + b"\0"
ELEMENTS["fraction"] = b"\x01small\0" + struct.pack("<d", 1.5)


def document(*names: str) -> bytes:
    body = b"".join(ELEMENTS[name] for name in names)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.bson"


def test_numbers_are_found_behind_values_of_every_type(path: Path) -> None:
    others = [name for name in ELEMENTS if name not in ("small", "large", "fraction")]
    documents = [document(*others, "small", "large"), document("large", "small"), document("nested", "small", "large")]
    path.write_bytes(b"".join(documents))
    with BsonFile(path) as file:
        places = list(file.places())
        assert [file.document(place) for place in places] == documents
        assert [file.integers(place, ("small", "large")) for place in places] == [{"small": -5, "large": 2**40}] * 3


def test_a_document_without_an_element_is_one_still(path: Path) -> None:
    names = [name for name in ELEMENTS if name != "fraction"]
    path.write_bytes(document(*names))
    with BsonFile(path) as file:
        (place,) = file.places()
        for name in names:
            assert file.document(place, without=name) == document(*(other for other in names if other != name))
        assert file.document(place, without="absent") == document(*names)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (document("small")[:-1], "the document at byte 0 is broken or cut short"),
        (document("small") + b"\x05\0", "the document at byte 16 is broken or cut short"),
        (document("small") + struct.pack("<i", 3) + b"\0" * 9, "the document at byte 16 is broken or cut short"),
        (document("large"), "the document at byte 0 has no 'small'"),
        (document("fraction"), "'small' at byte 4 is no whole number"),
        (document("binary").replace(b"\x05\0\0\0\0\xff", b"\x55\0\0\0\0\xff"), "the element at byte 4 is longer than"),
        (document("small").replace(b"\x10small", b"\x66small"), "type 0x66 at byte 11 is none of BSON's"),
    ],
)
def test_broken_files_are_named(path: Path, data: bytes, problem: str) -> None:
    path.write_bytes(data)
    with pytest.raises(PreparationError) as error, BsonFile(path) as file:
        for place in file.places():
            file.integers(place, ("small",))
    assert str(error.value).startswith(f"{path}: {problem}")


def test_a_missing_and_an_empty_file_are_named(path: Path) -> None:
    with pytest.raises(PreparationError, match="is missing; a BSON file is expected"):
        BsonFile(path)
    path.touch()
    with pytest.raises(PreparationError, match="is empty; BSON documents are expected"):
        BsonFile(path)
