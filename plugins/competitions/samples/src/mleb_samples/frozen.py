"""Frozen data of the samples: `<id>/data.csv.gz`, made by freeze.py of the source tree."""

import gzip
from pathlib import Path

__all__ = ["unpack"]


def unpack(folder: Path, raw: Path) -> None:
    """Write a competition's `data.csv.gz` to `raw/data.csv`, unpacked.

    Args:
        folder: the competition's folder.
        raw: the raw directory; it exists.

    Raises:
        OSError: as open, read and write give it.
    """
    (raw / "data.csv").write_bytes(gzip.decompress((folder / "data.csv.gz").read_bytes()))
