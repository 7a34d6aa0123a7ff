"""Writing a table as `[[prepare.write]]` declares it: from its cells, or from the lines of its file."""

import fnmatch
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare.lines import Lines
from mleb_core.prepare.reading import column_values
from mleb_core.prepare.recipe import Cell, Write
from mleb_core.prepare.tables import need_columns, write_csv
from mleb_core.prepare.templates import Template

__all__ = ["write_lines", "write_rows"]


@dataclass(frozen=True)
class _Plan:
    """What stands in each column to write."""

    wanted: list[str]
    """The columns, by their names in the table."""
    fills: Mapping[str, Cell]
    """Constants and templates by column."""
    texts: Mapping[str, Template]
    """The templates among them."""
    where: str
    """For messages."""


def write_rows(
    part: Write,
    frame: pd.DataFrame,
    rows: Any,
    path: Path,
    *,
    ids: Sequence[str],
    label: str,
    hidden: Sequence[str] = (),
    values: Mapping[str, Sequence[str]],
) -> None:
    """Write rows of a table.

    Args:
        part: what to write.
        frame: the table.
        rows: positions, in this order; None: all.
        path: the file, which must not exist.
        ids: the id columns of a submission, which `fill = { "*" = ... }` leaves alone.
        label: what to call the table in messages.
        hidden: columns of the table that are not written.
        values: declared values by column, for `one_hot`.

    Raises:
        PreparationError: a column is missing, or a value does not fit a template.
    """
    present = [str(column) for column in frame.columns if column not in hidden]
    one_hot: list[str] = []
    if part.one_hot is not None:
        need_columns(frame, [part.one_hot], label)
        one_hot = list(values.get(part.one_hot) or column_values(frame[part.one_hot]))
        at = present.index(part.one_hot)
        present[at : at + 1] = one_hot
    plan = _planned(part, present, ids, label)
    source = dict.fromkeys(plan.wanted)
    if part.one_hot is not None:
        source[part.one_hot] = None
    for template in plan.texts.values():
        source |= dict.fromkeys(template.columns)
    used = [column for column in source if column in frame.columns]

    def change(piece: pd.DataFrame) -> pd.DataFrame:
        new: dict[str, Any] = {}
        for column in plan.wanted:
            if column in plan.texts:
                new[column] = _filled_text(plan.texts[column], piece, plan.where)
            elif column in plan.fills:
                new[column] = np.full(len(piece), plan.fills[column], dtype=_dtype(plan.fills[column]))
            elif column in one_hot and part.one_hot is not None:
                labels = piece[part.one_hot].astype(object)
                new[column] = (labels.astype(str) == column).to_numpy(dtype=np.int64)
            else:
                new[column] = piece[column]
        return pd.DataFrame(new, index=piece.index).rename(columns=part.rename)

    same = not (plan.fills or one_hot or part.rename)
    with _opened(path) as stream:
        write_csv(
            frame,
            stream,
            rows=rows,
            columns=plan.wanted if same else used,
            change=None if same else change,
            index=part.index,
            float_format=part.float_format,
            quote=part.quote,
            separator=_separator(path),
        )


def write_lines(part: Write, lines: Lines, rows: Any, path: Path, *, ids: Sequence[str], label: str) -> bool:
    """`write_rows` from the lines of the table's file: the same bytes; False where that takes the cells.

    Raises:
        PreparationError: a column is missing.
    """
    plain = part.one_hot is None and not part.index and part.float_format is None and part.quote == "minimal"
    if not plain or _separator(path) != lines.separator:
        return False
    plan = _planned(part, lines.columns, ids, label)
    place = {column: i for i, column in enumerate(lines.columns)}
    cells: list[int | str] = []
    for column in plan.wanted:
        if column in plan.texts:
            bare = _bare(plan.texts[column])
            if bare not in place:
                return False
            cells.append(place[bare])
        elif column in plan.fills:
            cells.append(_written(plan.fills[column], lines.separator))
        else:
            cells.append(place[column])
    with _opened(path) as stream:
        lines.write(stream, rows, cells, [part.rename.get(column, column) for column in plan.wanted])
    return True


def _planned(part: Write, present: list[str], ids: Sequence[str], label: str) -> _Plan:
    fills = {column: value for column, value in part.fill.items() if column != "*"}
    present = [*present, *(column for column in fills if column not in present)]
    where = f"{part.file}: {label}"
    wanted, hide = (_fitting(names, present, where) for names in (part.columns or ("*",), part.hide))
    wanted = [column for column in wanted if column not in hide]
    _fitting(part.rename, present, where)
    if "*" in part.fill:
        kept = [column for column in wanted if part.rename.get(column, column) in ids]
        fills |= {column: part.fill["*"] for column in wanted if column not in (*kept, *fills)}
    texts = {c: Template(v) for c, v in fills.items() if isinstance(v, str) and "{" in v}
    return _Plan(wanted, fills, texts, where)


def _filled_text(template: Template, frame: pd.DataFrame, name: str) -> Any:
    """A template's text for each row; a template of one bare column keeps its missing cells."""
    if (column := _bare(template)) is not None:
        need_columns(frame, [column], name)
        return frame[column]
    return template.values(frame, name)


def _bare(template: Template) -> str | None:
    """The column of a template that is nothing but it."""
    one = len(template.columns) == 1 and template.text == f"{{{template.columns[0]}}}"
    return template.columns[0] if one else None


def _written(value: Cell, separator: str) -> str:
    """A constant as it stands in a cell, quoted where it must be."""
    out = BytesIO()
    beside = pd.DataFrame({"x": np.full(1, value, dtype=_dtype(value)), "y": [0]})  # alone, no text would be quoted
    write_csv(beside, out, separator=separator)
    return out.getvalue().decode().removeprefix(f"x{separator}y\n").removesuffix(f"{separator}0\n")


def _opened(path: Path) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    return _ZippedFile(path) if path.name.endswith(".zip") else path.open("xb")


def _separator(path: Path) -> str:
    return "\t" if path.name.removesuffix(".zip").endswith(".tsv") else ","


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
