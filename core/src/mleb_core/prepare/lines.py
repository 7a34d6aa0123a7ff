"""A large CSV file as the lines that pandas would write again, without reading its cells into memory.

Nearly every row of a CSV file comes out of pandas as it went in. So the file is gone through once: a row whose cells
are proved to be what pandas writes is left where it is; the others are made anew and kept in a file beside it. Parts
of the table are then written by copying lines: many times faster than formatting cells, in a fraction of the memory.
"""

import csv
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mleb_core.prepare.tables import Reading, chunks, write_csv
from mleb_core.prepare.windows import Window, windows

__all__ = ["Lines", "open_lines"]

_PIECE_BYTES = 24 << 20  # of lines copied at a time
_NUMBER = frozenset(b"0123456789.eE+-")
_DTYPES: Mapping[str, Any] = {"text": str, "int": "int64", "float": "float64", "bool": "bool"}


class Lines:
    """The rows of a CSV file, by position from 0."""

    def __init__(self, path: Path, reading: Reading, kinds: Mapping[str, str], scratch: Path) -> None:
        self._path, self._reading = path, reading
        self._kinds = dict(kinds)
        self._sep = reading.separator.encode()
        self._header = b""
        self._size = path.stat().st_size
        self._start: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._length: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        handle, name = tempfile.mkstemp(dir=scratch, prefix="lines-")
        os.close(handle)
        self._anew = Path(name)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._kinds)

    @property
    def separator(self) -> str:
        """What stands between cells."""
        return self._reading.separator

    def __len__(self) -> int:
        return len(self._start)

    def frame(self, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns as a table; the row numbers alone if none."""
        if not columns:
            return pd.DataFrame(index=pd.RangeIndex(len(self)))
        return self._reading.read(self._path, columns=columns)[list(columns)]

    def write(self, stream: Any, rows: Any, cells: Sequence[int | str], header: Sequence[str]) -> None:
        """Write rows as pandas writes them: comma or tab, LF, quotes where they must be.

        Args:
            stream: open for bytes.
            rows: positions, in this order; None: all.
            cells: for each column to write its number in the file, or the text of one and the same cell, quoted.
            header: names of the columns to write.
        """
        write_csv(pd.DataFrame(columns=list(header)), stream, separator=self._reading.separator)
        count = len(self) if rows is None else len(rows)
        mean = max(1, int(self._length.mean())) if len(self) else 1
        step = max(1, _PIECE_BYTES // (mean + 60))
        pick = self._picker(cells)
        with self._path.open("rb") as file, self._anew.open("rb") as anew:
            sources = [
                mmap.mmap(each.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(each.fileno()).st_size else b""
                for each in (file, anew)
            ]
            for at in range(0, count, step):
                end = min(at + step, count)
                piece = np.arange(at, end) if rows is None else np.asarray(rows[at:end], dtype=np.intp)
                lines = self._taken(piece, sources)
                stream.write(b"\n".join(lines if pick is None else map(pick, lines)))
                stream.write(b"\n")
                for source in sources:
                    if isinstance(source, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                        source.madvise(mmap.MADV_DONTNEED)  # what was read is not ours to keep in memory
            for source in sources:
                if isinstance(source, mmap.mmap):
                    source.close()

    def _taken(self, rows: NDArray[np.intp], sources: Sequence[Any]) -> list[bytes]:
        order = np.argsort(self._start[rows], kind="stable")  # read front to back, whatever the order asked for
        starts = self._start[rows][order]
        ends = starts + self._length[rows][order]
        whole = int(np.searchsorted(starts, self._size))
        lines = _slices(sources[0], starts[:whole], ends[:whole])
        lines += _slices(sources[1], starts[whole:] - self._size, ends[whole:] - self._size)
        back = np.empty(len(order), dtype=np.intp)
        back[order] = np.arange(len(order))
        return [lines[i] for i in back.tolist()]

    def _picker(self, cells: Sequence[int | str]) -> Callable[[bytes], bytes] | None:
        """What makes the wanted cells of a line."""
        width, sep = len(self._kinds), self._sep
        if list(cells) == list(range(width)):
            return None
        constants = [cell.encode() for cell in cells if isinstance(cell, str)]
        numbers = iter(range(width, width + len(constants)))
        places = [cell if isinstance(cell, int) else next(numbers) for cell in cells]
        taken: Callable[[Sequence[bytes]], tuple[bytes, ...]]
        taken = itemgetter(*places) if len(places) > 1 else lambda parts: (parts[places[0]],)

        def pick(line: bytes) -> bytes:
            parts = line.split(sep) if b'"' not in line else _quoted_cells(line, sep)
            line = sep.join(taken(parts + constants))
            return line or b'""'  # as the csv module has it: a row is never blank

        return pick

    def index(self, rows: int, missing: Mapping[str, NDArray[np.bool_]]) -> bool:
        """Go through the file; False where that cannot be done.

        Args:
            rows: how many there are.
            missing: by text column, the cells that pandas takes for missing, shape (rows,).
        """
        self._start, self._length = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int32)
        at = -1  # the header
        with self._anew.open("wb") as anew:
            for found in windows(self._path, self._reading.separator, len(self._kinds)):
                if found is None:
                    return False
                window = found
                if at < 0:
                    self._header = window.first_row()
                    names = next(csv.reader([self._header.decode("utf-8-sig")], delimiter=self._reading.separator), [])
                    if names != self.columns:
                        return False
                    window = window.without_first_row()
                    at = 0
                count = len(window)
                if at + count > rows or (count and int(window.length.max()) >= 2**31):
                    return False
                self._start[at : at + count] = window.offset + window.starts[:, 0]
                self._length[at : at + count] = window.length
                self._mend(window, at, {name: mask[at : at + count] for name, mask in missing.items()}, anew)
                at += count
        return at == rows

    def _mend(self, window: Window, at: int, missing: Mapping[str, NDArray[np.bool_]], anew: IO[bytes]) -> None:
        """Make the lines of a window anew that pandas would change."""
        odd = window.odd_rows()
        new: dict[int, list[tuple[int, bytes]]] = {}
        for number, (name, kind) in enumerate(self._kinds.items()):
            if kind == "text":
                odd |= missing[name] & (window.lengths(number) > 0)
            elif kind == "float":
                plain, bare = window.float_forms(number)
                doubtful = ~plain & ~odd & (window.lengths(number) > 0)
                words = np.flatnonzero(doubtful & ~bare)
                odd[[row for row, text in zip(words.tolist(), window.cells(words, number), strict=True)
                     if not _NUMBER.issuperset(text)]] = True  # fmt: skip
                rows = np.flatnonzero(doubtful & ~odd)
                texts = window.cells(rows, number)
                written = list(map(repr, self._reading.numbers(texts)))
                if "\n".join(written).encode() != b"\n".join(texts):
                    for row, text, other in zip(rows.tolist(), texts, written, strict=True):
                        if other.encode() != text:
                            new.setdefault(row, []).append((number, other.encode()))
            else:
                odd |= ~(window.plain_integers(number) if kind == "int" else window.plain_flags(number))
        lines = {}
        for row, changes in new.items():
            if odd[row]:
                continue
            cells = window.line(row).split(self._sep)
            for number, cell in changes:
                cells[number] = cell
            lines[row] = self._sep.join(cells)
        slow = np.flatnonzero(odd)
        lines.update(zip(slow.tolist(), self._written([window.line(row) for row in slow.tolist()]), strict=True))
        for row, line in lines.items():
            self._start[at + row] = self._size + anew.tell()
            self._length[at + row] = len(line)
            anew.write(line)

    def _written(self, lines: list[bytes]) -> list[bytes]:
        """What pandas makes of lines."""
        if not lines:
            return []
        dtype = {name: _DTYPES[kind] for name, kind in self._kinds.items()}
        frame = self._reading.read(BytesIO(b"\n".join([self._header, *lines]) + b"\n"), dtype=dtype)
        found = _Rows()
        frame.to_csv(found, index=False, header=False, sep=self._reading.separator, lineterminator="\n")  # type: ignore[call-overload]
        return found.lines


class _Rows:
    """A file to write to that keeps rows apart: the csv module writes each in one go."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, text: str) -> int:
        self.lines.append(text.removesuffix("\n").encode())
        return len(text)

    def __iter__(self) -> Iterator[bytes]:  # what makes it a file to pandas
        return iter(self.lines)


def open_lines(path: Path, reading: Reading, scratch: Path) -> Lines | None:
    """The lines of a table, or None where it must be read whole: rows of uneven length, columns of mixed types,
    quotes in the middle of a cell, line ends of old, another encoding ...

    Args:
        path: the file; it must not change while the lines are in use.
        reading: how it is read.
        scratch: where lines that are made anew lie; must exist, the caller removes it.
    """
    if reading.encoding.lower().replace("-", "") != "utf8" or len(reading.separator) != 1 or path.suffix == ".gz":
        return None
    try:
        types = _types(path, reading)
    except ValueError:  # no table, or not in that encoding: reading it whole says what is wrong
        return None
    if types is None:
        return None
    kinds, missing, rows = types
    lines = Lines(path, reading, kinds, scratch)
    return lines if len(kinds) > 1 and rows and lines.index(rows, missing) else None


def _types(path: Path, reading: Reading) -> tuple[dict[str, str], dict[str, NDArray[np.bool_]], int] | None:
    """The columns' kinds, the missing cells of texts, the number of rows; None where a column has no one kind."""
    found: dict[str, set[str]] = {}
    gaps: dict[str, list[NDArray[np.bool_]]] = {}
    rows = 0
    for chunk in chunks(path, reading):
        rows += len(chunk)
        for name in chunk.columns:
            column = chunk[name]
            kind = _kind(column)
            if kind is None or not isinstance(name, str):
                return None
            found.setdefault(name, set()).add(kind)
            if kind in ("text", "none"):
                gaps.setdefault(name, []).append(column.isna().to_numpy(dtype=bool))
    kinds = {}
    for name, all_kinds in found.items():
        some = all_kinds - {"none"}
        if some == {"text"} or (all_kinds in ({"int"}, {"bool"})):
            (kinds[name],) = some
        elif some <= {"int", "float"}:
            kinds[name] = "float"
        else:
            return None
    return kinds, {name: np.concatenate(gaps[name]) for name, kind in kinds.items() if kind == "text"}, rows


def _kind(column: "pd.Series[Any]") -> str | None:
    kind = getattr(column.dtype, "kind", "O")
    if kind == "f":
        return "none" if bool(column.isna().all()) else "float"
    if kind in "ib":
        return "int" if kind == "i" else "bool"
    if kind != "O":
        return None
    return "text" if pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty") else None


def _slices(source: Any, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[bytes]:
    return [source[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def _quoted_cells(line: bytes, separator: bytes) -> list[bytes]:
    """The cells of a line that pandas wrote, quoted as they are.

    Not by csv.reader: a carriage return ends a row to it, yet csv.writer leaves one without quotes before Python 3.13.
    """
    cells: list[bytes] = []
    inside = False
    for piece in line.split(separator):
        if inside:
            cells[-1] += separator + piece
        else:
            cells.append(piece)
        inside ^= piece.count(b'"') % 2 == 1
    return cells
