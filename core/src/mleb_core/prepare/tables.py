"""Reading and writing tables so that what goes in comes out, byte for byte.

CSV is read with pandas' defaults (types guessed; NA, null, nan, None ... are missing) but exact floats, and written
with comma, LF, quotes where they must be, the shortest text that reads back to the same float, missing = empty cell.
"""

import csv
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare.cells import rows_as_text
from mleb_core.prepare.floats import fast_floats
from mleb_core.prepare.problems import flat

__all__ = ["Reading", "chunks", "need_columns", "read_csv", "write_csv"]

_DTYPES: dict[str, Any] = {"text": str, "integer": "int64", "number": "float64"}
_QUOTING: dict[str, Any] = {"minimal": csv.QUOTE_MINIMAL, "text": csv.QUOTE_NONNUMERIC, "all": csv.QUOTE_ALL}
# Later versions read the nearest float by default, and warn when asked to.
_EXACT_BY_DEFAULT = tuple(int(part) for part in pd.__version__.split(".")[:2]) >= (3, 1)
_CHUNK_CELLS = 500_000  # written at a time: keeps the copy that is being written small beside the table


def read_csv(
    source: Path | str | IO[bytes],
    *,
    separator: str | None = None,
    dtype: Mapping[str, str] | None = None,
    missing_words: bool = True,
    floats: Literal["exact", "fast"] = "exact",
    encoding: str = "utf-8",
    name: str | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read a CSV.

    Args:
        source: a file (gzip by its suffix), or an open binary stream.
        separator: between cells; by default a tab for .tsv, else a comma.
        dtype: "text", "integer" or "number" by column; other values go to pandas as they are.
        missing_words: whether words such as NA and null mean a missing cell.
        floats: "exact" reads the nearest float; "fast" is the default parser of pandas up to 3.0, which published
            data was made with and which is often off in the last digit.
        encoding: of the text.
        name: what to call it in messages.
        columns: only these, in the order of the file; all if None.

    Raises:
        PreparationError: it is missing, empty, not the encoding, or no table; a cell does not fit its dtype.
    """
    name = name or str(source)
    if separator is None:
        separator = "\t" if name.endswith((".tsv", ".tsv.gz")) else ","
    options = _options(Reading(separator, dtype or {}, missing_words, floats, encoding))
    types = options.pop("dtype")
    if columns is not None:
        types = {column: kind for column, kind in types.items() if column in columns}
    frame = _read(source, name, dtype=types, **options, usecols=columns)
    if floats == "fast" and _EXACT_BY_DEFAULT:
        inexact = list(frame.columns[(frame.dtypes == "float64").to_numpy()])
        if not isinstance(source, Path | str):
            source.seek(0)
        texts = _read(source, name, dtype=dict.fromkeys(inexact, str), usecols=inexact, **options)
        for column in inexact:
            # Up to 15 digits without an exponent both parsers are exact.
            long = (texts[column].str.len() > 15) | texts[column].str.contains("e", case=False)
            rows = np.flatnonzero(long.fillna(False).to_numpy(dtype=bool))
            values = frame[column].to_numpy(copy=True)
            values[rows] = fast_floats(texts[column].take(rows))
            frame[column] = values
    return frame


@dataclass(frozen=True)
class Reading:
    """How a CSV is read; see `read_csv`."""

    separator: str = ","
    """Between cells."""
    dtype: Mapping[str, str] = field(default_factory=dict)
    """By column."""
    missing_words: bool = True
    """Whether words stand for missing cells."""
    floats: Literal["exact", "fast"] = "exact"
    """The parser."""
    encoding: str = "utf-8"
    """Of the text."""

    def read(
        self,
        source: Path | IO[bytes],
        *,
        columns: Sequence[str] | None = None,
        dtype: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> pd.DataFrame:
        """Read so; `dtype` instead of the own one."""
        return read_csv(
            source,
            separator=self.separator,
            dtype=self.dtype if dtype is None else dtype,
            missing_words=self.missing_words,
            floats=self.floats,
            encoding=self.encoding,
            name=name,
            columns=columns,
        )

    def numbers(self, texts: Iterable[bytes]) -> Iterable[float]:
        """The floats that texts stand for."""
        return map(float, texts) if self.floats == "exact" else fast_floats(text.decode() for text in texts)


def chunks(path: Path, reading: Reading) -> Iterator[pd.DataFrame]:
    """A table a chunk of rows at a time, for a look at its types; floats may be inexact.

    Raises:
        ValueError: it is no table, or not of the encoding.
    """
    with path.open("rb") as stream:
        width = stream.readline().count(reading.separator.encode()) + 1
    # pandas guesses types in steps of a power of 2 up to 2^20 / width rows: a chunk must not cut one in two.
    step = 1 << max(0, ((1 << 20) // width - 1).bit_length())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        with pd.read_csv(path, chunksize=step, **_options(reading)) as found:
            yield from found


def _options(reading: Reading) -> dict[str, Any]:
    """Arguments of pandas."""
    types = {column: _DTYPES.get(kind, kind) for column, kind in reading.dtype.items()}
    options: dict[str, Any] = {"sep": reading.separator, "encoding": reading.encoding, "dtype": types}
    if not reading.missing_words:
        options |= {"keep_default_na": False, "na_values": [""]}
    if reading.floats == "exact" and not _EXACT_BY_DEFAULT:
        options["float_precision"] = "round_trip"
    return options


def _read(source: Path | str | IO[bytes], name: str, **options: Any) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # Columns of mixed types are read chunk by chunk as the published preparation does; no news to a user.
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            frame: pd.DataFrame = pd.read_csv(source, **options)
            return frame
    except FileNotFoundError:
        raise PreparationError(f"{name} is missing; a table is expected there") from None
    except IsADirectoryError:
        raise PreparationError(f"{name} is a folder; a table is expected there") from None
    except pd.errors.EmptyDataError:
        raise PreparationError(f"{name} is empty; a table with a header is expected there") from None
    except UnicodeDecodeError as error:
        raise PreparationError(f"{name} is not {options['encoding']}: {flat(error)}") from None
    except (pd.errors.ParserError, ValueError) as error:
        raise PreparationError(f"{name} cannot be read as a table: {flat(error)}") from None
    except (EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise PreparationError(f"{name} is broken or cut short ({flat(error)}); get it again") from None


def need_columns(frame: pd.DataFrame, columns: Iterable[str], name: str) -> None:
    """Check that a table has these columns.

    Raises:
        PreparationError: names the first that is missing, and what there is.
    """
    for column in columns:
        if column not in frame.columns:
            there = ", ".join(map(str, frame.columns[:12])) + (", ..." if len(frame.columns) > 12 else "")
            raise PreparationError(f"{name} has no column {column!r}; it has: {there}")


def write_csv(
    frame: pd.DataFrame,
    target: Path | IO[bytes],
    *,
    rows: Any = None,
    columns: Sequence[str] | None = None,
    change: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    index: bool = False,
    float_format: str | None = None,
    quote: Literal["minimal", "text", "all"] = "minimal",
    separator: str | None = None,
) -> None:
    """Write a table, a piece at a time, so that little more than the table itself is in memory.

    Args:
        frame: the table.
        target: a file, whose folder is made, or an open binary stream.
        rows: positions to write, in this order; all if None.
        columns: columns to write, in this order; all if None.
        change: applied to each piece before it is written (new columns, new names).
        index: whether the frame's index stands first, under an empty name.
        float_format: such as "%.10g".
        quote: "minimal", "text" (header included) or "all".
        separator: by default a tab for .tsv, else a comma.
    """
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            sep = separator or ("\t" if target.suffix == ".tsv" else ",")
            write_csv(frame, stream, rows=rows, columns=columns, change=change, index=index,
                      float_format=float_format, quote=quote, separator=sep)  # fmt: skip
        return
    if columns is not None and len(columns) * 2 < frame.shape[1]:
        frame, columns = frame[list(columns)], None  # a small copy; else each piece is cut, to spare a large one
    count = len(frame) if rows is None else len(rows)
    step = max(1, _CHUNK_CELLS // max(1, frame.shape[1]))
    for start in range(0, max(count, 1), step):
        if rows is None:
            piece = frame.iloc[start : start + step]
        else:
            piece = frame.take(np.asarray(rows[start : start + step], dtype=np.intp))
        if columns is not None:
            piece = piece[list(columns)]
        if change is not None:
            piece = change(piece)
        if quote == "minimal" and not index and float_format is None:
            text = rows_as_text(piece, separator or ",")
            if text is not None:
                if start == 0:
                    piece.iloc[:0].to_csv(target, index=False, sep=separator or ",", lineterminator="\n")
                target.write(text)
                continue
        piece.to_csv(
            target,
            index=index,
            header=start == 0,
            sep=separator or ",",
            float_format=float_format,
            quoting=_QUOTING[quote],
            lineterminator="\n",
            encoding="utf-8",
        )
