"""The files of import packages as they are installed here, for a build context."""

import functools
import importlib.util
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from mleb_core.errors import PluginError

__all__ = ["File", "package_files"]

METADATA = ("METADATA", "entry_points.txt", "top_level.txt", "WHEEL")
"""What of a distribution's metadata goes along: not where it lies on this machine (direct_url.json, RECORD)."""
SKIPPED = ("__pycache__", ".git", ".mypy_cache", ".pytest_cache", ".ruff_cache")


@dataclass(frozen=True)
class File:
    """A file of a build context."""

    content: bytes
    """All of it."""
    executable: bool = False
    """Whether anyone may run it."""


def package_files(package: str, agent: str) -> dict[str, File]:
    """An import package and the metadata of its distribution, by the path that they get in a folder of packages.

    It is taken from where Python finds it, editable installs included; without byte code.

    Args:
        package: top-level import name.
        agent: whose image needs it, for the error.

    Raises:
        PluginError: it is not installed here, or cannot be read.
    """
    try:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not (spec.submodule_search_locations or (spec.origin and spec.has_location)):
            raise PluginError(f"agent {agent}: its image holds the package {package!r}, which is not installed here")
        found = {}
        for place in reversed(list(spec.submodule_search_locations or ())):  # the first one wins, as in an import
            found.update({f"{package}/{name}": file for name, file in _tree(Path(place))})
        if not spec.submodule_search_locations and spec.origin:
            found[Path(spec.origin).name] = _file(Path(spec.origin))
        lies = next(iter(spec.submodule_search_locations or ()), spec.origin)
        for folder in _metadata_folders(package, Path(lies).resolve() if lies else None):
            for name in METADATA:
                if (folder / name).is_file():
                    found[f"{folder.name}/{name}"] = _file(folder / name)
    except OSError as error:
        raise PluginError(f"agent {agent}: {error.filename or package}: {error.strerror or error}") from error
    return dict(sorted(found.items()))


def _file(path: Path) -> File:
    return File(path.read_bytes(), os.access(path, os.X_OK))


def _tree(root: Path) -> Iterator[tuple[str, File]]:
    """The files of a folder by relative path; links are followed, each folder once."""
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        state = Path(folder).stat()
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(names):
            path = Path(folder, name)
            if not name.endswith((".pyc", ".pyo")) and path.is_file():
                yield PurePosixPath(path.relative_to(root)).as_posix(), _file(path)


@functools.cache
def _metadata_folders(package: str, home: Path | None) -> tuple[Path, ...]:
    """The `*.dist-info` folders of the distributions that bring a package; none where nothing says so.

    Args:
        package: top-level import name.
        home: where it lies.
    """
    pattern = re.compile(rf"^{re.escape(package)}(/|\.[^/,]*,)", re.MULTILINE)
    listed, editable = [], []
    for distribution in metadata.distributions():
        folder = getattr(distribution, "_path", None)  # the only way to where it lies
        if not isinstance(folder, Path) or folder.suffix != ".dist-info":
            continue
        if pattern.search(distribution.read_text("RECORD") or ""):
            listed.append(folder)
        elif home is not None and (project := _editable(distribution)) and home.is_relative_to(project):
            editable.append((len(project.parts), folder))
    nearest = [folder for depth, folder in editable if depth == max(editable)[0]]
    return tuple(listed or nearest)


def _editable(distribution: metadata.Distribution) -> Path | None:
    """The project folder of an editable install."""
    try:
        told = json.loads(distribution.read_text("direct_url.json") or "{}")
        if not told.get("dir_info", {}).get("editable"):
            return None
        return Path(unquote(urlsplit(told["url"]).path)).resolve()
    except (ValueError, KeyError, AttributeError):
        return None
