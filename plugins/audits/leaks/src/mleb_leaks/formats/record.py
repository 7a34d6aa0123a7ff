"""What readers give."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Record", "Unreadable", "plain"]

_LONGEST = 4096


class Unreadable(Exception):
    """A file is not what its name says, or is too large; the message says so."""


@dataclass
class Record:
    """One row, object or example of a file; a file that is one thing is one record."""

    fields: dict[str, Any]
    """Texts, numbers, and tuples of these."""
    row: int | None = None
    """Row or number from 0; None where the file is one record."""
    texts: list[str] = field(default_factory=list)
    """Lines of free text, for a search by value."""


def plain(value: Any) -> Any:
    """A value as texts and numbers; long tuples are cut."""
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, int | float | str):
        return "" if value is None else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value[:_LONGEST])
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        return plain(value.item())
    if hasattr(value, "ravel"):
        return tuple(plain(item) for item in value.ravel()[:_LONGEST].tolist())
    return str(value)[:_LONGEST]
