"""Prepared data, fetched on a node when its first run needs it, from any place that fsspec reads.

The place is a copy of a data directory: URL/<label>/prepared.json and URL/<label>/prepared/... What was fetched is the
data that the group began with, file by file, or it is not used.
"""

import contextlib
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from mleb_core.errors import NotPreparedError, SandboxError
from mleb_core.layout import CompetitionData, write_whole
from mleb_core.prepare import sha256_of
from mleb_core.prepare.lock import locked
from mleb_core.prepare.manifest import Manifest, read_manifest, write_manifest

__all__ = ["fetch", "storage"]


def storage(url: str) -> tuple[Any, str]:
    """The file system behind a URL, and the path in it.

    Raises:
        SandboxError: fsspec knows no such place, or lacks what it needs for it.
    """
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise SandboxError(f"data_url {url}: {' '.join(str(error).split())}") from error
    return system, str(root).rstrip("/")


def fetch(url: str, data_dir: Path, label: str, digest: str) -> None:
    """Have a competition's data on this node; one process of the node fetches it, others wait.

    Args:
        url: where the data directory is.
        data_dir: this node's.
        label: the competition's.
        digest: of the group's data.

    Raises:
        SandboxError: it cannot be fetched, or is not the group's; what was there before stays.
        NotPreparedError: other data is on this node.
    """
    data = CompetitionData.of(data_dir, label)
    try:
        if _is_there(data, label, digest):
            return
        data.root.mkdir(parents=True, exist_ok=True)
        with locked(data.fetch_lock, lambda: None):
            if not _is_there(data, label, digest):
                _fetch(url, data, label, digest)
    except OSError as error:
        why = error.strerror or " ".join(str(error).split()) or type(error).__name__
        raise SandboxError(f"{label} cannot be fetched from {url}: {error.filename or ''} {why}") from error


def _is_there(data: CompetitionData, label: str, digest: str) -> bool:
    manifest = read_manifest(data.manifest)
    if manifest is None:
        return False
    if manifest.digest != digest:
        raise NotPreparedError(f"{label}: the data in {data.root} is not the group's; remove it, so that it is fetched")
    return data.prepared.is_dir()


def _fetch(url: str, data: CompetitionData, label: str, digest: str) -> None:
    system, root = storage(url)
    there = f"{root}/{label}"
    try:
        manifest = Manifest.model_validate_json(system.cat_file(f"{there}/{data.manifest.name}"))
    except ValidationError as error:
        raise SandboxError(f"{url}: {label}/{data.manifest.name} is no manifest") from error
    if manifest.digest != digest:
        raise SandboxError(f"{url}: its data of {label} is not that which the group began with")
    if data.prepared.exists():
        raise NotPreparedError(f"{data.prepared} has no manifest; run `mleb prepare` there, or remove it")
    shutil.rmtree(data.fetched, ignore_errors=True)  # of a process that died; the lock is ours
    for name, entry in manifest.files.items():
        path = data.fetched.joinpath(*_parts(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(f"{there}/{data.prepared.name}/{name}", str(path))
        if path.stat().st_size != entry.bytes or sha256_of(path) != entry.sha256:
            raise SandboxError(f"{url}: {label}/{data.prepared.name}/{name} is not what its manifest says")
    with contextlib.suppress(FileNotFoundError):
        if not data.leaderboard.exists():
            content = system.cat_file(f"{root}/{data.leaderboard.parent.name}/{data.leaderboard.name}")
            data.leaderboard.parent.mkdir(parents=True, exist_ok=True)
            write_whole(data.leaderboard, content)
    write_manifest(data.manifest, manifest)
    data.fetched.rename(data.prepared)  # last: data is there when both are


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a file's name, which must not lead out of its directory."""
    parts = PurePosixPath(name).parts
    if not parts or PurePosixPath(name).is_absolute() or ".." in parts:
        raise SandboxError(f"a manifest names {name!r}, which leads out of its directory")
    return parts
