"""What an agent needs of this machine's Python: where it lies, and which of mleb's packages are to be seen there."""

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from mleb_core.errors import RunnerError

__all__ = ["folders_of", "hidden_packages", "package_folder"]

_ASK = """
import json, os, sys
real = os.path.dirname(os.path.dirname(os.path.realpath(sys.executable)))
print(json.dumps([sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, real]))
"""
_OWN = ("mleb", "mleb_core")


@functools.lru_cache(maxsize=64)
def folders_of(python: str) -> tuple[Path, ...]:
    """The directories that an interpreter needs, those under /usr left out.

    Raises:
        RunnerError: it does not start, or stands where all of the machine would have to be shown.
    """
    try:
        told = subprocess.run([python, "-I", "-c", _ASK], capture_output=True, text=True, check=True, timeout=60)
        found = [Path(path) for path in json.loads(told.stdout)]
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise RunnerError(f"{python} does not say where it lies: {error}") from error
    folders = dict.fromkeys(path for spelt in found for path in (spelt, spelt.resolve()))
    if any(len(folder.parts) < 2 for folder in folders):
        raise RunnerError(f"{python} lies in the root of the file system; use one in a directory of its own")
    outside = [folder for folder in folders if folder.resolve().parts[:2] != ("/", "usr")]
    return tuple(
        folder for folder in outside if not any(folder != other and folder.is_relative_to(other) for other in outside)
    )


def package_folder(name: str) -> Path | None:
    """Where an import package of this environment lies; None where it is no package."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    places = None if spec is None else spec.submodule_search_locations
    return Path(next(iter(places))) if places else None


def hidden_packages(python: str, shown: Sequence[str]) -> tuple[Path, ...]:
    """Packages of mleb's and of its plugins among what `folders_of` and /usr show, which an agent has no business with.

    As an image of the docker runner has them: an agent gets the packages that its scaffold names, and no competitions.
    """
    if python != sys.executable:
        return ()  # an environment of the scaffold's own, where nothing but its requirements was installed
    visible = (Path("/usr"), *folders_of(python))
    return tuple(
        folder
        for folder in _installed()
        if folder.name not in shown and any(folder.resolve().is_relative_to(place.resolve()) for place in visible)
    )


@functools.cache
def _installed() -> tuple[Path, ...]:
    modules = {entry.value.partition(":")[0].partition(".")[0] for entry in entry_points(group="mleb")}
    return tuple(folder for name in sorted({*_OWN, *modules}) if (folder := package_folder(name)) is not None)
