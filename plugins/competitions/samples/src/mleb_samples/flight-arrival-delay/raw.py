"""The raw data: data.csv, frozen in this package."""

from pathlib import Path

from mleb_samples.frozen import unpack


def fetch(raw: Path) -> None:
    """Write data.csv into `raw`."""
    unpack(Path(__file__).parent, raw)
