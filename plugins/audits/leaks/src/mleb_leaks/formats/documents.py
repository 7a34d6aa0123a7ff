"""JSON, JSON lines and text."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from mleb_leaks.formats.record import Record, Unreadable, plain

__all__ = ["read_json", "read_json_lines", "read_strings", "read_text"]

_DEEP = 4
_MOST_FIELDS = 500
_MOST_LINES = 20_000
_HEAD = 256 << 10


def read_json(stream: IO[bytes], most_bytes: int) -> Iterator[Record]:
    """Objects of a list, or of an object of objects (its keys become the field `#key`); else the whole as one record.

    Polygons of GeoJSON are joined in the field `#polygons`: tuples of x, y, x, y, ...

    Raises:
        Unreadable: no JSON, or too large.
    """
    content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise Unreadable("it is too large")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        try:
            yield from _lines(content.split(b"\n"))
        except (ValueError, RecursionError):
            raise Unreadable("it is no JSON") from None
        return
    polygons = tuple(_polygons(document, 0))
    if polygons:
        yield Record({"#polygons": polygons})
    elif isinstance(document, list) and document and all(isinstance(item, dict) for item in document):
        for row, item in enumerate(document):
            yield Record(dict(_flat(item, "", 0)), row)
    elif isinstance(document, dict) and len(document) > 1 and all(isinstance(v, dict) for v in document.values()):
        for row, (key, item) in enumerate(document.items()):
            yield Record({"#key": key, **dict(_flat(item, "", 0))}, row)
    elif (
        isinstance(document, dict)
        and len(document) > 20
        and not any(isinstance(v, list | dict) for v in document.values())
    ):
        for row, (key, value) in enumerate(document.items()):
            yield Record({"#key": key, "#value": plain(value)}, row)
    elif isinstance(document, dict):
        yield Record(dict(_flat(document, "", 0)))
    else:
        yield Record({"#value": plain(document)})


def read_json_lines(stream: IO[bytes]) -> Iterator[Record]:
    """An object a line.

    Raises:
        Unreadable: a line is no JSON.
    """
    try:
        yield from _lines(stream)
    except (ValueError, RecursionError):
        raise Unreadable("it is no JSON, line by line") from None


def read_text(stream: IO[bytes], most_bytes: int) -> Record:
    """The lines of a text; of a long one its first lines.

    Raises:
        Unreadable: it is no text.
    """
    content = stream.read(min(most_bytes, 16 << 20))
    if b"\0" in content[:4096]:
        raise Unreadable("it is no text")
    return Record({}, texts=content.decode("utf-8", "replace").splitlines()[:_MOST_LINES])


def read_strings(stream: IO[bytes]) -> Record:
    """The readable words at the beginning of a file of any kind."""
    content = stream.read(_HEAD)
    found = re.findall(rb"[\x20-\x7e\t]{3,}", content)
    return Record({}, texts=[text.decode("ascii") for text in found])


def _lines(lines: Any) -> Iterator[Record]:
    for row, line in enumerate(lines):
        if line.strip():
            item = json.loads(line)
            yield Record(dict(_flat(item, "", 0)) if isinstance(item, dict) else {"#value": plain(item)}, row)


def _flat(item: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for key, value in list(item.items())[:_MOST_FIELDS]:
        name = f"{prefix}{key}"
        if isinstance(value, dict) and depth < _DEEP:
            yield from _flat(value, f"{name}.", depth + 1)
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value) and depth < _DEEP:
            for inner in dict.fromkeys(k for one in value[:4096] for k in one):
                yield f"{name}.{inner}", tuple(_short(one.get(inner)) for one in value[:4096])
        else:
            yield name, plain(value)


def _short(value: Any) -> Any:
    found = plain(value)
    return str(found) if isinstance(found, tuple) else found


def _polygons(value: Any, depth: int) -> Iterator[tuple[float, ...]]:
    """Rings of GeoJSON's polygons."""
    if depth > 8:
        return
    if isinstance(value, list):
        for item in value:
            yield from _polygons(item, depth + 1)
    elif isinstance(value, dict):
        if value.get("type") in ("Polygon", "MultiPolygon") and isinstance(value.get("coordinates"), list):
            yield from _rings(value["coordinates"])
        else:
            for item in value.values():
                if isinstance(item, list | dict):
                    yield from _polygons(item, depth + 1)


def _rings(value: Any) -> Iterator[tuple[float, ...]]:
    if not isinstance(value, list) or not value:
        return
    if all(isinstance(p, list) and len(p) >= 2 and all(isinstance(c, int | float) for c in p[:2]) for p in value):
        yield tuple(float(c) for p in value for c in p[:2])
    else:
        for item in value:
            yield from _rings(item)
