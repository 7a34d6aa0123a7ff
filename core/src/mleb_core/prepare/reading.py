"""Reading the raw tables that a recipe declares."""

from typing import Any

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare.recipe import Table
from mleb_core.prepare.sources import Sources, matcher
from mleb_core.prepare.tables import Reading, need_columns
from mleb_core.prepare.templates import Template

__all__ = ["column_values", "read_table", "reading_of"]


def read_table(table: Table, sources: Sources, name: str) -> pd.DataFrame:
    """Read a declared table.

    Raises:
        PreparationError: it is missing or broken, or a declared column or value is not there.
    """
    if table.files is not None:
        frame = _listed(table, sources)
    else:
        assert table.file is not None
        with sources.open(table.file) as stream:
            frame = reading_of(table).read(stream, name=str(sources.raw / table.file))
    label = f"table {name!r} ({table.file or table.files})"
    need_columns(frame, [*table.drop, *table.read.dtype, *table.values], label)
    for column, values in table.drop.items():
        frame = frame[~frame[column].isin(list(values))]
    for column, allowed in table.values.items():
        if unknown := sorted(set(column_values(frame[column])) - set(allowed)):
            raise PreparationError(f"{label}: column {column!r} holds {unknown[0]!r}, which is not among its `values`")
    for column, text in table.add.items():
        frame[column] = Template(text).values(frame, label)
    return frame


def reading_of(table: Table) -> Reading:
    """How a declared table's file is read."""
    read, tabs = table.read, (table.file or "").removesuffix(".zip").endswith(".tsv")
    separator = read.separator or ("\t" if tabs else ",")
    return Reading(separator, read.dtype, read.missing_words, read.floats, read.encoding)


def _listed(table: Table, sources: Sources) -> pd.DataFrame:
    """The table of the files that fit a pattern."""
    text = table.files or ""
    fit = matcher(text.partition("!")[2] or text)
    found = [(name.split("/"), m.groupdict()) for name in sources.names(text) if (m := fit.fullmatch(name))]
    if not found:
        raise PreparationError(f"no file fits {text!r} in the raw data {sources.raw}")
    found.sort(key=lambda item: item[0])
    frame = pd.DataFrame([cells for _, cells in found], columns=list(fit.groupindex), dtype=str)
    if table.sort is not None:
        keys = Template(table.sort).values(frame)
        frame = frame.take(np.array(sorted(range(len(keys)), key=keys.__getitem__))).reset_index(drop=True)
    return frame


def column_values(column: Any) -> list[str]:
    """The values of a column as text, sorted, without missing ones."""
    return sorted(column.dropna().astype(str).unique())
