"""Tables from files: a submission, which may hold anything, and the answers, which are trusted.

Values are typed as `pandas.read_csv(path)` types them (True / False become booleans, "NA" is missing), since
published scores rest on it. One difference: a column is typed as a whole, never chunk by chunk, so that a
value's type depends on the file and not on where pandas happens to cut it.
"""

import codecs
import csv
import io
import math
import re
import threading
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.files import MAX_BYTES, named, open_submission

__all__ = ["read_answers", "read_submission", "short", "to_numbers"]

_CHUNK = 1024**2
_FIRST_BYTES = 64 * 1024
_HEADER_BYTES = 4 * 1024**2
_CACHE_ENTRIES = 4
_CACHE_FILE_BYTES = 64 * 1024**2
_cache: OrderedDict[tuple[Any, ...], pd.DataFrame] = OrderedDict()
_cache_lock = threading.Lock()


def read_submission(path: Path, *, max_bytes: int = MAX_BYTES, **read_csv: Any) -> pd.DataFrame:
    """A submission as a table: columns by name, rows by position from 0.

    Args:
        path: the file.
        max_bytes: larger files are refused.
        read_csv: further arguments of `pandas.read_csv`, such as `float_precision="round_trip"`.

    Raises:
        InvalidSubmissionError: as in `open_submission`; or it is not UTF-8 (a byte order mark is fine), holds NUL
            bytes, has no rows, a row with more or fewer cells than the header, or a column name twice.
        GraderError: the disk failed.
        MemoryError: there is not enough memory to read it.
    """
    try:
        with open_submission(path, max_bytes=max_bytes) as stream:
            _check_text(stream, path)
            width = _header_width(stream, path)
            table = _parsed(stream, path, read_csv)
            if "sep" not in read_csv and len(table) and bool(table.iloc[:, -1].isna().any()):
                _check_row_lengths(stream, path, width)
    except OSError as error:
        raise GraderError(f"{path} cannot be read: {error.strerror or error}; is the disk in order?") from None
    if table.empty:
        raise InvalidSubmissionError(f"{named(path)}: it has a header but no rows")
    return table


def read_answers(path: Path, **read_csv: Any) -> pd.DataFrame:
    """The answers as a table, typed as `read_submission` types. Do not change it: it may be handed out again.

    Tables of files up to 64 MiB are kept, the last four, until their file changes.

    Raises:
        GraderError: the file is missing or not CSV.
        MemoryError: there is not enough memory to read it.
    """
    try:
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size, status.st_ino, repr(sorted(read_csv.items())))
        with _cache_lock:
            if key in _cache:
                _cache.move_to_end(key)
                return _cache[key].copy(deep=False)
        table: pd.DataFrame = pd.read_csv(path, **{"low_memory": False, **read_csv})
    except OSError as error:
        raise GraderError(f"the answers {path} cannot be read: {error.strerror or error}; prepare them again") from None
    except ValueError as error:
        _raise_memory_error(error)
        raise GraderError(f"the answers {path} are no CSV table: {_one_line(error)}; prepare them again") from None
    if status.st_size <= _CACHE_FILE_BYTES:
        with _cache_lock:
            _cache[key] = table
            while len(_cache) > _CACHE_ENTRIES:
                _cache.popitem(last=False)
    return table.copy(deep=False)


def short(value: object, limit: int = 60) -> str:
    """A value for a message: `repr`, so that it is one line, cut at `limit` characters."""
    item = getattr(value, "item", None)
    text = repr(item() if item else value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def to_numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Cells as numbers; what is no number becomes NaN, a whole number beyond every float becomes infinite."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:  # pandas 3 reads a number of hundreds of digits as a Python integer
        return pd.to_numeric(column.map(_bounded), errors="coerce")


def _bounded(value: object) -> object:
    if isinstance(value, int):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return value


def _check_text(stream: BinaryIO, path: Path) -> None:
    """Go through the file once: NUL bytes and broken UTF-8 are found before pandas sees them."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = 0  # bytes of earlier chunks
    while True:
        chunk = stream.read(_CHUNK)
        if b"\0" in chunk:
            line = _line(stream, before + chunk.index(b"\0"))
            raise InvalidSubmissionError(f"{named(path)}: line {line} holds a NUL byte; a CSV text file is expected")
        held = len(decoder.getstate()[0])  # bytes of a character that the chunk before has begun
        if held or not chunk.isascii():
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line = _line(stream, before - held + error.start)
                raise InvalidSubmissionError(
                    f"{named(path)}: line {line} is not UTF-8; save the file with encoding utf-8"
                ) from None
        if not chunk:
            break
        before += len(chunk)
    stream.seek(0)


def _line(stream: BinaryIO, offset: int) -> int:
    """The line, from 1, that the byte at an offset is in."""
    stream.seek(0)
    line = 1
    while offset > 0 and (chunk := stream.read(min(_CHUNK, offset))):
        line += chunk.count(b"\n")
        offset -= len(chunk)
    return line


def _header_width(stream: BinaryIO, path: Path) -> int:
    """Check header and first row, and count the columns."""
    start = stream.read(_FIRST_BYTES)
    whole = [line for line in start.splitlines()[:-1] if line]
    if len(whole) < 3 or b'"' in start:  # a byte order mark may stand alone, a cell may go on after a line's end
        start += stream.read(_HEADER_BYTES - len(start))
    stream.seek(0)
    if len(start) == _HEADER_BYTES and b"\n" not in start and b"\r" not in start:
        raise InvalidSubmissionError(
            f"{named(path)}: its first line is longer than {_HEADER_BYTES:,} bytes; not a CSV table"
        )
    lines = io.StringIO(start.decode("utf-8-sig", errors="ignore"), newline=None)
    _allow_wide_cells()
    try:
        rows = (row for row in csv.reader(lines) if row)
        header, first = next(rows, []), next(rows, [])
    except csv.Error as error:
        raise InvalidSubmissionError(f"{named(path)}: its header is not CSV: {error}") from None
    if twice := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise InvalidSubmissionError(f"{named(path)}: column {short(twice[0])} is there twice")
    if len(first) > len(header):  # pandas would take the surplus leading cells for row names
        raise InvalidSubmissionError(
            f"{named(path)}: row 1 has {len(first)} cells where the header has {len(header)}; quote texts with commas"
        )
    return len(header)


def _parsed(stream: BinaryIO, path: Path, read_csv: dict[str, Any]) -> pd.DataFrame:
    try:
        table: pd.DataFrame = pd.read_csv(stream, **{"low_memory": False, **read_csv})
    except pd.errors.EmptyDataError:
        raise InvalidSubmissionError(f"{named(path)}: it is empty; a header and rows are expected") from None
    except (ValueError, OverflowError) as error:
        _raise_memory_error(error)
        if found := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
            expected, line, saw = found.groups()
            problem = f"line {line} has {saw} cells where {expected} are expected; quote texts that hold commas"
        elif found := re.search(r"columns expected but not found: \[(.*?)(?:,.*)?\]", str(error)):  # of `usecols`
            problem = f"column {found[1]} is missing"
        else:
            problem = f"it is not CSV: {_one_line(error)}"
        raise InvalidSubmissionError(f"{named(path)}: {problem}") from None
    return table


def _check_row_lengths(stream: BinaryIO, path: Path, width: int) -> None:
    """Find rows that are too short; pandas fills them up with missing cells, so only tables with such come here."""
    stream.seek(0)
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    _allow_wide_cells()
    try:
        reader = csv.reader(lines)
        rows = (row for row in reader if row and (len(row) > 1 or row[0].strip()))  # pandas skips blank lines
        next(rows, None)
        for number, row in enumerate(rows, 1):
            if len(row) < width:
                raise InvalidSubmissionError(
                    f"{named(path)}: row {number} has {len(row)} of {width} cells (line {reader.line_num})"
                )
    except csv.Error:
        pass  # what pandas could read is judged by its cells
    finally:
        lines.detach()


def _allow_wide_cells() -> None:
    """Let the csv module read cells of any length, as pandas does; process-wide, and never narrowed again."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_BYTES))


def _raise_memory_error(error: Exception) -> None:
    """A lack of memory comes from pandas as a parse error."""
    if "out of memory" in str(error):
        raise MemoryError(str(error)) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
