"""prepared.json: what was prepared, from what, with which checksums."""

import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from mleb_core.errors import NotPreparedError
from mleb_core.layout import write_json
from mleb_core.prepare.checksums import tree_sums

__all__ = ["FileEntry", "Manifest", "read_manifest", "write_manifest"]


class FileEntry(BaseModel):
    """One prepared file."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    """Hexadecimal."""
    bytes: int
    """Size."""


class Manifest(BaseModel):
    """prepared.json."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format_version: int = 1
    """Version of this file's format."""
    competition: str
    """Id."""
    edition: int
    """1 as published."""
    version: int | None
    """Version of competition.toml; None where the data was prepared by something else and taken over."""
    created_at: str
    """UTC, ISO 8601."""
    mleb_core: str
    """Version of mleb-core."""
    files: dict[str, FileEntry]
    """All files below `prepared/` ("public/train.csv"), sorted."""

    @property
    def digest(self) -> str:
        """sha256 of the table of files: equal data, equal digest, whenever and by whatever it was made."""
        table = [[path, entry.sha256, entry.bytes] for path, entry in sorted(self.files.items())]
        return hashlib.sha256(json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def files_of(prepared: Path) -> dict[str, FileEntry]:
    """Checksums of everything in public/ and private/ below a folder."""
    return {
        f"{part}/{path}": FileEntry(sha256=one.sha256, bytes=one.bytes)
        for part in ("private", "public")
        for path, one in tree_sums(prepared / part).items()
    }


def read_manifest(path: Path) -> Manifest | None:
    """The manifest; None if there is none.

    Raises:
        NotPreparedError: it cannot be read or is of a later format.
    """
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise NotPreparedError(f"{path} cannot be read ({type(error).__name__}); prepare again with --force") from None
    if manifest.format_version != 1:
        raise NotPreparedError(f"{path} is of format {manifest.format_version}, known is 1; update mleb-core")
    return manifest


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write it whole."""
    write_json(path, manifest.model_dump(mode="json"))
