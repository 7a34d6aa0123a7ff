"""Carrying out a declared recipe."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare.archives import write_archive
from mleb_core.prepare.files import copy_files
from mleb_core.prepare.lines import Lines, open_lines
from mleb_core.prepare.reading import read_table, reading_of
from mleb_core.prepare.recipe import Archive, Copy, Recipe, Rows, Write
from mleb_core.prepare.rows import renumbered, sorted_rows, split_rows
from mleb_core.prepare.sources import Sources, matcher
from mleb_core.prepare.split import Parts
from mleb_core.prepare.tables import need_columns
from mleb_core.prepare.templates import Template
from mleb_core.prepare.writing import write_lines, write_rows

__all__ = ["Declared"]

LARGE = 16 << 20
"""Tables of so many bytes are written from the lines of their file; below it is no gain."""


class Declared:
    """A recipe at work: its tables and its split, read when first asked for.

    Code in prepare.py gets one from `context.recipe()` and goes on from its tables.
    """

    def __init__(
        self,
        recipe: Recipe,
        sources: Sources,
        target: Path,
        *,
        ids: Sequence[str] = (),
        own: bool = False,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Args:
        target: holds public/ and private/.
        ids: the id columns of a submission, which `fill = { "*" = ... }` leaves alone.
        own: raw is mleb's own, so that its files may be hard linked.
        """
        self._recipe, self._sources, self._target = recipe, sources, target
        self._ids, self._own, self._progress = tuple(ids), own, progress
        self._tables: dict[str, pd.DataFrame] = {}
        self._parts: Parts | None = None
        self._texts: dict[str, Lines | None] = {}
        self._views: dict[str, pd.DataFrame] = {}  # some columns of the tables that are there as lines

    def table(self, name: str) -> pd.DataFrame:
        """A table by its name in `[prepare.tables]`; with new ids, if it is the one that is split."""
        frame = self._whole(name)
        split = self._recipe.split
        if split is not None and split.table == name:
            parts = self.parts
            if split.renumber is not None and f"{split.renumber.column}@raw" not in frame.columns:
                self._tables[name] = renumbered(frame, parts, split.renumber)
        return self._tables[name]

    @property
    def parts(self) -> Parts:
        """Row positions of train and test.

        Raises:
            PreparationError: the recipe has no split.
        """
        split = self._recipe.split
        if split is None:
            raise PreparationError("the recipe has no [prepare.split]")
        if self._parts is None:
            needed = [*([split.column] if split.column else []), *split.sort_by]
            frame = self._view(split.table, needed)
            self._parts = split_rows(self._whole(split.table) if frame is None else frame, split, self._sources)
        return self._parts

    @property
    def train(self) -> pd.DataFrame:
        """The train rows of the table that is split."""
        return self._part("train")

    @property
    def test(self) -> pd.DataFrame:
        """The test rows of the table that is split."""
        return self._part("test")

    def run(self) -> None:
        """Write, copy and pack everything.

        Raises:
            PreparationError: raw data is missing, broken or not what the recipe needs.
        """
        recipe = self._recipe
        for name in recipe.require:
            self._sources.need(name)
        if recipe.split is not None and self._lines(recipe.split.table) is None:
            self.table(recipe.split.table)
        last = {self._name(part): i for i, part in enumerate(recipe.write)}
        for i, part in enumerate(recipe.write):
            self._progress(f"writing {part.file}")
            self._write(part)
            if last[name := self._name(part)] == i and (recipe.split is None or name != recipe.split.table):
                self._views.pop(name, None)
                self._tables.pop(name, None)  # a side table is read again in the rare case that a copy needs it
        for copy in recipe.copy_:
            self._progress(f"laying out {copy.to}")
            self._copy(copy)
        for archive in recipe.archive:
            self._progress(f"packing {archive.file}")
            self._pack(archive)

    def _name(self, part: Write | Copy | Archive) -> str:
        name = part.table or (self._recipe.split.table if self._recipe.split else None)
        assert name is not None  # the recipe was validated
        return name

    def _whole(self, name: str) -> pd.DataFrame:
        """A table as it was read."""
        if name not in self._tables:
            self._progress(f"reading {name}")
            self._tables[name] = read_table(self._recipe.tables[name], self._sources, name)
        return self._tables[name]

    def _lines(self, name: str) -> Lines | None:
        """The lines of a large table that is written as it stands in its file, as long as it was not read whole."""
        if name in self._tables:
            return None
        if name not in self._texts:
            table, split = self._recipe.tables[name], self._recipe.split
            new_ids = split is not None and split.table == name and split.renumber is not None
            changed = bool(table.drop or table.values or table.add or new_ids)
            path = None
            if table.file is not None and not changed and any(self._name(part) == name for part in self._recipe.write):
                path = self._sources.large_file(table.file, LARGE)
            lines = None
            if path is not None:
                self._progress(f"going through {name}")
                lines = open_lines(path, reading_of(table), self._sources.scratch)
            absent = lines is not None and any(column not in lines.columns for column in table.read.dtype)
            self._texts[name] = None if absent else lines
        return self._texts[name]

    def _view(self, name: str, columns: Sequence[str]) -> pd.DataFrame | None:
        """A table with these columns at least; None where it must be read whole."""
        lines = self._lines(name)
        if lines is None or any(column not in lines.columns for column in columns):
            return None
        have = self._views.get(name)
        new = [column for column in dict.fromkeys(columns) if have is None or column not in have.columns]
        if have is None or new:
            frame = lines.frame(new)
            self._views[name] = frame if have is None else have.assign(**{column: frame[column] for column in new})
        return self._views[name]

    def _columns(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """A table with these columns at least, if it has them."""
        frame = self._view(name, columns)
        return self.table(name) if frame is None else frame

    def _part(self, rows: Rows) -> pd.DataFrame:
        name = self._recipe.split.table if self._recipe.split else ""
        return self.table(name).take(self.parts.train if rows == "train" else self.parts.test)

    def _rows(self, part: Write | Copy | Archive) -> np.ndarray[Any, Any] | None:
        """Positions of the part's rows in its table; None: all, in file order."""
        if part.rows == "all" or part.rows is None:
            return None
        positions = self.parts.train if part.rows == "train" else self.parts.test
        if not isinstance(part, Write) or part.match is None:
            return positions
        match = part.match if isinstance(part.match, dict) else {part.match: part.match}
        assert self._recipe.split is not None
        name = self._name(part)
        frame, split = self._columns(name, list(match)), self._columns(self._recipe.split.table, list(match.values()))
        mask = np.ones(len(frame), dtype=bool)
        for column, key in match.items():
            need_columns(frame, [column], f"table {name!r}")
            need_columns(split, [key], f"table {self._recipe.split.table!r}")
            mask &= frame[column].isin(split[key].take(positions).unique()).to_numpy(dtype=bool)
        return np.flatnonzero(mask)

    def _write(self, part: Write) -> None:
        name = self._name(part)
        label = f"table {name!r}"
        rows = self._rows(part)
        if part.distinct or part.sort_by:
            needed = [*part.distinct, *part.sort_by]
            frame = self._columns(name, needed)
            need_columns(frame, needed, label)
            rows = np.arange(len(frame)) if rows is None else rows
            if part.distinct:
                rows = rows[~frame[list(part.distinct)].take(rows).duplicated().to_numpy()]
            if part.sort_by:
                rows = sorted_rows(frame, rows, part.sort_by)
        path = self._target / part.file
        lines = self._lines(name)
        if lines is not None and write_lines(part, lines, rows, path, ids=self._ids, label=label):
            return
        split = self._recipe.split
        hidden = [f"{split.renumber.column}@raw"] if split is not None and split.renumber is not None else []
        values = self._recipe.tables[name].values
        frame = self.table(name)
        write_rows(part, frame, rows, path, ids=self._ids, label=label, hidden=hidden, values=values)

    def _pairs(self, part: Copy | Archive, target: str) -> list[tuple[str, str]]:
        """(source, target) texts of a part that follows rows, each once, in the order of the rows."""
        source, goal = Template(part.from_), Template(target)
        name = self._name(part)
        columns = list(dict.fromkeys((*source.columns, *goal.columns)))
        frame, rows = self._columns(name, columns), self._rows(part)
        need_columns(frame, columns, f"{part.from_!r}: table {name!r}")
        frame = frame[columns] if rows is None else frame[columns].take(rows)
        label = f"table {name!r}"
        return list(dict.fromkeys(zip(source.values(frame, label), goal.values(frame, label), strict=True)))

    def _copy(self, part: Copy) -> None:
        pairs = self._pairs(part, part.to) if part.rows is not None else [(part.from_, part.to)]
        archive, mark, _ = part.from_.partition("!")
        if mark:
            pairs = [(source.partition("!")[2], target) for source, target in pairs]
        if part.from_.endswith(("/", "!")) or "*" in part.from_:
            pairs = list(self._spread(part, pairs))
        elif part.missing == "skip":
            there = set(self._sources.archive(archive).names()) if mark else None
            raw = os.fspath(self._sources.raw)
            pairs = [p for p in pairs if (p[0] in there if there is not None else Path(raw, p[0]).exists())]
        base = os.fspath(self._target)
        for _, target in pairs:
            if ".." in target and ".." in target.split("/"):
                raise PreparationError(f"{part.to!r}: {target!r} leaves the prepared data")
        if mark:
            self._sources.archive(archive).extract([(source, f"{base}/{target}") for source, target in pairs])
            return
        raw = os.fspath(self._sources.raw)
        if pairs:
            self._sources.need(pairs[0][0])
        copy_files([(f"{raw}/{source}", f"{base}/{target}") for source, target in pairs], own=self._own)

    def _spread(self, part: Copy, pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Folders and patterns as the files they stand for."""
        names = self._sources.names(part.from_)
        if "*" in part.from_:
            (pattern, target), found = pairs[0], 0
            fixed = pattern[: min(pattern.find(c) for c in "*?" if c in pattern)].rpartition("/")[0]
            fit = matcher(pattern)
            for name in names:
                if fit.fullmatch(name):
                    found += 1
                    yield name, f"{target.rstrip('/')}/{name[len(fixed) :].lstrip('/')}"
            if not found and part.missing == "error":
                raise PreparationError(f"no file fits {part.from_!r} in the raw data {self._sources.raw}")
            return
        folders: dict[str, list[str]] = {}
        for source, _ in pairs:
            folders[source] = []
        depths = {source.count("/") for source in folders}
        for name in names:  # each file asks whether one of its parents is wanted
            parts = name.split("/")
            for depth in depths:
                if depth < len(parts) and (key := "/".join(parts[:depth]) + "/" * bool(depth)) in folders:
                    folders[key].append(name)
        for source, target in pairs:
            if not folders[source] and part.missing == "error":
                raise PreparationError(
                    f"{source or part.from_!r} is missing or empty in the raw data; a folder is expected"
                )
            for name in folders[source]:
                yield name, target + name[len(source) :]

    def _pack(self, part: Archive) -> None:
        target = self._target / part.file
        archive, mark, _ = part.from_.partition("!")
        if part.rows is None:
            member = part.as_ or part.from_.rpartition("/")[2]
            if part.from_.startswith(("public/", "private/")):
                write_archive(target, [(member, self._target / part.from_)], compress=part.compress)
            else:
                with self._sources.open(part.from_) as stream:
                    write_archive(target, [(member, stream.read())], compress=part.compress)
            return
        pairs = self._pairs(part, part.as_ or part.from_.rpartition("/")[2].rpartition("!")[2])
        members: Iterator[tuple[str, Path | bytes]]
        if mark:
            reader = self._sources.archive(archive)
            members = ((name, reader.read(source.partition("!")[2])) for source, name in pairs)
        else:
            members = ((name, self._sources.raw / source) for source, name in pairs)
        write_archive(target, members, compress=part.compress)
