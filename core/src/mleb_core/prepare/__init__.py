"""Data preparation: from a raw download to what an agent may see and what it may not.

    run.py        prepare, require_prepared, data_digest: a competition as a whole, atomically
    recipe.py     the declared recipe language (models of `[prepare]` in competition.toml)
    declared.py   carrying out a declared recipe; reading.py its tables, rows.py its split, writing.py its files
    context.py    what a competition's prepare.py gets
    fetch.py      where raw data comes from, one function for each kind of source
    manifest.py   prepared.json
    check.py      checks of what was made

and the building blocks, which prepare.py may use too:

    split.py      train and test by row position
    tables.py     CSV in and out, byte for byte, cells.py its rows; lines.py and windows.py without reading the cells
    files.py      laying out file trees
    archives.py   zip, tar, 7z: reading and packing
    checksums.py  of files and trees
    sources.py    raw files and archive members by one text
    templates.py  texts with columns in braces
    floats.py     numbers as older pandas reads them
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mleb_core.prepare.archives import extract_archive, open_archive, write_archive, write_zip
    from mleb_core.prepare.checksums import md5_of, sha256_of, tree_sums
    from mleb_core.prepare.context import Preparation
    from mleb_core.prepare.files import copy_file, copy_files, copy_tree, files_below
    from mleb_core.prepare.run import data_digest, prepare, require_prepared
    from mleb_core.prepare.split import (
        Parts,
        grouped_split,
        random_split,
        stratified_split,
        time_split,
        values_split,
    )
    from mleb_core.prepare.tables import need_columns, read_csv, write_csv
    from mleb_core.prepare.templates import Template

_ROOMS = {
    "archives": ("extract_archive", "open_archive", "write_archive", "write_zip"),
    "checksums": ("md5_of", "sha256_of", "tree_sums"),
    "context": ("Preparation",),
    "files": ("copy_file", "copy_files", "copy_tree", "files_below"),
    "run": ("data_digest", "prepare", "require_prepared"),
    "split": ("Parts", "grouped_split", "random_split", "stratified_split", "time_split", "values_split"),
    "tables": ("need_columns", "read_csv", "write_csv"),
    "templates": ("Template",),
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Parts",
    "Preparation",
    "Template",
    "copy_file",
    "copy_files",
    "copy_tree",
    "data_digest",
    "extract_archive",
    "files_below",
    "grouped_split",
    "md5_of",
    "need_columns",
    "open_archive",
    "prepare",
    "random_split",
    "read_csv",
    "require_prepared",
    "sha256_of",
    "stratified_split",
    "time_split",
    "tree_sums",
    "values_split",
    "write_archive",
    "write_csv",
    "write_zip",
]


def __getattr__(name: str) -> Any:
    """Load a name's module when it is first asked for: competition.toml must be readable without pandas."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
