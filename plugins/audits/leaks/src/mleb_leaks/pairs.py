"""Files of test ids that are in train too."""

from collections.abc import Sequence
from typing import IO

from mleb_core.audits.protocol import AuditedData
from mleb_core.prepare.manifest import read_manifest
from mleb_leaks.files import Item
from mleb_leaks.scan import Scan, role

__all__ = ["Pair", "equal_files", "equal_pictures"]

Pair = tuple[str, int, str]
"""A file, the position of the test id that it is of, and the same in train."""

_LEAST_BYTES = 64
_MOST_ALIKE = 5
"""What more files share is a blank, or made by a program."""
_MOST_BITS = 8
"""Bits of 144 in which the same picture differs from itself in another size and format."""


def equal_files(found: Scan, data: AuditedData) -> list[Pair]:
    """Loose files that are the same byte by byte, by the checksums of prepared.json; tiny ones are passed over."""
    manifest = read_manifest(data.data.manifest)
    by_sum: dict[str, list[tuple[str, int | None]]] = {}
    for name, entry in manifest.files.items() if manifest is not None else ():
        if name.startswith("public/") and entry.bytes > _LEAST_BYTES:
            item = Item(name, entry.bytes, None, _not_opened)
            by_sum.setdefault(entry.sha256, []).append((name, found.linked.of_path(item)[1]))
    pairs = []
    for members in by_sum.values():
        theirs = [name for name, position in members if position is None and role(name) == "train"]
        if theirs and len(members) <= 2 * _MOST_ALIKE:
            pairs += [(name, p, theirs[0]) for name, p in members if p is not None and role(name) != "train"]
    return pairs


def equal_pictures(looks: Sequence[tuple[bytes, str, int | None]]) -> list[Pair]:
    """Images that look the same: their difference hashes differ in at most 8 of 144 bits."""
    import numpy as np

    ours = [(look, name, p) for look, name, p in looks if p is not None and role(name) != "train"]
    theirs = [(look, name) for look, name, p in looks if p is None and role(name) == "train"]
    if not ours or not theirs:
        return []
    table = np.frombuffer(b"".join(look for look, _ in theirs), np.uint8).reshape(len(theirs), -1)
    bits = np.array([number.bit_count() for number in range(256)], np.uint8)
    pairs = []
    for look, name, position in ours:
        differing = bits[table ^ np.frombuffer(look, np.uint8)].sum(axis=1)
        alike = np.flatnonzero(differing <= _MOST_BITS)
        if 0 < len(alike) <= _MOST_ALIKE:
            pairs.append((name, position, theirs[int(differing.argmin())][1]))
    return pairs


def _not_opened() -> IO[bytes]:
    raise OSError("only its name is looked at")
