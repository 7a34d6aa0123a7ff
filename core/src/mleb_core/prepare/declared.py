"""Carrying out a declared recipe."""

import fnmatch
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare.archives import write_archive
from mleb_core.prepare.files import copy_files
from mleb_core.prepare.reading import column_values, read_table
from mleb_core.prepare.recipe import Archive, Copy, Recipe, Rows, Write
from mleb_core.prepare.rows import renumbered, sorted_rows, split_rows
from mleb_core.prepare.sources import Sources, matcher
from mleb_core.prepare.split import Parts
from mleb_core.prepare.tables import need_columns, write_csv
from mleb_core.prepare.templates import Template

__all__ = ["Declared"]


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

    def table(self, name: str) -> pd.DataFrame:
        """A table by its name in `[prepare.tables]`; with new ids, if it is the one that is split."""
        if name not in self._tables:
            self._progress(f"reading {name}")
            self._tables[name] = read_table(self._recipe.tables[name], self._sources, name)
        split = self._recipe.split
        if self._parts is None and split is not None and split.table == name:
            frame = self._tables[name]
            self._parts = split_rows(frame, split, self._sources)
            if split.renumber is not None:
                self._tables[name] = renumbered(frame, self._parts, split.renumber)
        return self._tables[name]

    @property
    def parts(self) -> Parts:
        """Row positions of train and test.

        Raises:
            PreparationError: the recipe has no split.
        """
        if self._recipe.split is None:
            raise PreparationError("the recipe has no [prepare.split]")
        self.table(self._recipe.split.table)
        assert self._parts is not None
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
        if recipe.split is not None:
            self.table(recipe.split.table)
        last = {self._name(part): i for i, part in enumerate(recipe.write)}
        for i, part in enumerate(recipe.write):
            self._progress(f"writing {part.file}")
            self._write(part)
            if last[name := self._name(part)] == i and (recipe.split is None or name != recipe.split.table):
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
        frame, split = self.table(name), self.table(self._recipe.split.table)
        mask = np.ones(len(frame), dtype=bool)
        for column, key in match.items():
            need_columns(frame, [column], f"table {name!r}")
            need_columns(split, [key], f"table {self._recipe.split.table!r}")
            mask &= frame[column].isin(split[key].take(positions).unique()).to_numpy(dtype=bool)
        return np.flatnonzero(mask)

    def _write(self, part: Write) -> None:
        name = self._name(part)
        frame, label = self.table(name), f"table {name!r}"
        rows = self._rows(part)
        if part.distinct or part.sort_by:
            need_columns(frame, [*part.distinct, *part.sort_by], label)
            rows = np.arange(len(frame)) if rows is None else rows
            if part.distinct:
                rows = rows[~frame[list(part.distinct)].take(rows).duplicated().to_numpy()]
            if part.sort_by:
                rows = sorted_rows(frame, rows, part.sort_by)
        hidden = {f"{r.column}@raw" for r in [self._recipe.split.renumber if self._recipe.split else None] if r}
        present = [str(column) for column in frame.columns if column not in hidden]
        one_hot: list[str] = []
        if part.one_hot is not None:
            need_columns(frame, [part.one_hot], label)
            one_hot = list(self._recipe.tables[name].values.get(part.one_hot) or column_values(frame[part.one_hot]))
            at = present.index(part.one_hot)
            present[at : at + 1] = one_hot
        fills = {column: value for column, value in part.fill.items() if column != "*"}
        present += [column for column in fills if column not in present]
        where = f"{part.file}: {label}"
        wanted, hide = (_fitting(names, present, where) for names in (part.columns or ("*",), part.hide))
        wanted = [column for column in wanted if column not in hide]
        _fitting(part.rename, present, where)
        if "*" in part.fill:
            ids = [column for column in wanted if part.rename.get(column, column) in self._ids]
            fills |= {column: part.fill["*"] for column in wanted if column not in (*ids, *fills)}
        texts = {c: Template(v) for c, v in fills.items() if isinstance(v, str) and "{" in v}
        source = dict.fromkeys(wanted)
        if part.one_hot is not None:
            source[part.one_hot] = None
        for template in texts.values():
            source |= dict.fromkeys(template.columns)
        used = [column for column in source if column in frame.columns]

        def change(piece: pd.DataFrame) -> pd.DataFrame:
            new: dict[str, Any] = {}
            for column in wanted:
                if column in texts:
                    new[column] = filled_text(texts[column], piece, where)
                elif column in fills:
                    new[column] = np.full(len(piece), fills[column], dtype=_dtype(fills[column]))
                elif column in one_hot and part.one_hot is not None:
                    labels = piece[part.one_hot].astype(object)
                    new[column] = (labels.astype(str) == column).to_numpy(dtype=np.int64)
                else:
                    new[column] = piece[column]
            return pd.DataFrame(new, index=piece.index).rename(columns=part.rename)

        same = not (fills or one_hot or part.rename)
        with self._target_stream(part.file) as stream:
            write_csv(
                frame,
                stream,
                rows=rows,
                columns=wanted if same else used,
                change=None if same else change,
                index=part.index,
                float_format=part.float_format,
                quote=part.quote,
                separator="\t" if part.file.removesuffix(".zip").endswith(".tsv") else ",",
            )

    def _target_stream(self, file: str) -> Any:
        path = self._target / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return _ZippedFile(path) if file.endswith(".zip") else path.open("xb")

    def _pairs(self, part: Copy | Archive, target: str) -> list[tuple[str, str]]:
        """(source, target) texts of a part that follows rows, each once, in the order of the rows."""
        source, goal = Template(part.from_), Template(target)
        name = self._name(part)
        frame, rows = self.table(name), self._rows(part)
        columns = list(dict.fromkeys((*source.columns, *goal.columns)))
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


def filled_text(template: Template, frame: pd.DataFrame, name: str) -> Any:
    """A template's text for each row; a template of one bare column keeps its missing cells."""
    if len(template.columns) == 1 and template.text == f"{{{template.columns[0]}}}":
        need_columns(frame, template.columns, name)
        return frame[template.columns[0]]
    return template.values(frame, name)


class _ZippedFile:
    """A new archive with one member, named like it without .zip, to write to."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path, "x")
        info = zipfile.ZipInfo(path.name.removesuffix(".zip"), (1980, 1, 1, 0, 0, 0))
        info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
        self._member = self._archive.open(info, "w", force_zip64=True)

    def __enter__(self) -> Any:
        return self._member

    def __exit__(self, *_: object) -> None:
        self._member.close()
        self._archive.close()


def _fitting(names: Iterable[str], present: Sequence[str], where: str) -> list[str]:
    """The columns of those names, some of which are patterns, each once."""
    found: dict[str, None] = {}
    for name in names:
        if name in present:
            found[name] = None
            continue
        fits = fnmatch.filter(present, name) if "*" in name else []
        if not fits:
            there = ", ".join(present[:12]) + (", ..." if len(present) > 12 else "")
            raise PreparationError(f"{where} has no column {name!r}; it has: {there}")
        found |= dict.fromkeys(fits)
    return list(found)


def _dtype(value: object) -> Any:
    return object if isinstance(value, str) else None
