"""Finds and reads the tables of a data directory: csv and tsv, plain, gzipped or in zips."""

import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import pandas as pd

__all__ = ["Source", "UnreadableError", "find_tables", "walk"]

MAX_ENTRIES = 2_000_000
TABLE_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")


class UnreadableError(Exception):
    """A file cannot be read as a table; the message is one line."""


@dataclass(frozen=True)
class Source:
    """One table on disk."""

    path: Path
    """The file, or the zip it is in."""
    member: str = ""
    """Name within the zip."""

    @property
    def label(self) -> str:
        """Name for people."""
        return f"{self.path.name}!{self.member}" if self.member else self.path.name

    @property
    def name(self) -> str:
        """Lower-case name without folders and endings."""
        name = PurePosixPath(self.member or self.path.name).name.lower()
        if self.member and name.rsplit(".", 1)[0] in ("data", "file"):
            name = self.path.name.lower()
        for ending in (".zip", ".gz", ".csv", ".tsv"):
            name = name.removesuffix(ending)
        return name

    def open(self) -> IO[bytes]:
        """The unpacked bytes.

        Raises:
            OSError, EOFError, zipfile.BadZipFile: as reading gives them.
        """
        if self.member:
            with zipfile.ZipFile(self.path) as archive:
                stream = archive.open(self.member)
                return cast(IO[bytes], gzip.open(stream)) if self.member.lower().endswith(".gz") else stream
        return cast(IO[bytes], gzip.open(self.path)) if self.path.suffix.lower() == ".gz" else self.path.open("rb")

    @cached_property
    def separator(self) -> str:
        """Comma, tab or semicolon: what the first line has most of."""
        try:
            with self.open() as stream:
                line = stream.readline(1_000_000)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise UnreadableError(f"{self.label} cannot be read: {error}") from None
        return max(",\t;", key=lambda mark: line.count(mark.encode()))

    @cached_property
    def columns(self) -> list[str]:
        """Column names.

        Raises:
            UnreadableError: the first line cannot be read.
        """
        return [str(column) for column in self.read(as_text=True, rows=0).columns]

    def read(self, *, as_text: bool = False, columns: list[str] | None = None, rows: int | None = None) -> pd.DataFrame:
        """Read the table.

        Args:
            as_text: all cells as the text they are, empty cells as "".
            columns: only these.
            rows: only so many.

        Raises:
            UnreadableError: not readable as a table.
        """
        options: dict[str, Any] = {"sep": self.separator, "usecols": columns, "nrows": rows}
        if as_text:
            options |= {"dtype": str, "keep_default_na": False}
        else:
            options |= {"low_memory": False}
        for encoding in ("utf-8-sig", "latin-1"):
            try:
                with self.open() as stream, io.BufferedReader(cast(io.RawIOBase, stream)) as buffered:
                    return cast(pd.DataFrame, pd.read_csv(buffered, encoding=encoding, **options))
            except UnicodeDecodeError:
                continue
            except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
                text = " ".join(str(error).split())[:200]
                raise UnreadableError(f"{self.label} cannot be read: {text}") from None
        raise UnreadableError(f"{self.label} cannot be read: unknown encoding")


def find_tables(data: Path) -> list[Source]:
    """All tables, the shallow first, then by name. Zips are looked into, one level deep; a broken zip is passed over
    here (whatever needed it says so).
    """
    sources: list[tuple[int, str, Source]] = []
    for path, depth in walk(data):
        name = path.name.lower()
        if name.endswith(TABLE_ENDINGS):
            sources.append((depth, name, Source(path)))
        elif name.endswith(".zip"):
            try:
                with zipfile.ZipFile(path) as archive:
                    members = [m for m in archive.namelist() if m.lower().endswith(TABLE_ENDINGS)]
            except (OSError, zipfile.BadZipFile):
                continue
            wanted = [m for m in members if not m.startswith("__MACOSX") and not PurePosixPath(m).name.startswith(".")]
            sources += [(depth + m.count("/"), f"{name}/{m}", Source(path, m)) for m in wanted[:50]]
    sources.sort(key=lambda item: item[:2])
    return [source for _, _, source in sources[:200]]


def walk(root: Path) -> Iterator[tuple[Path, int]]:
    """Files under `root`, folder by folder, breadth first, with their depth; hidden ones are left out."""
    level, depth, seen = [str(root)], 0, 0
    while level and seen < MAX_ENTRIES:
        deeper: list[str] = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                seen += 1
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    deeper.append(entry.path)
                else:
                    yield Path(entry.path), depth
        level, depth = deeper, depth + 1
