"""A CSV file a window at a time: where its cells are, and which of them stand as pandas writes them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["Window", "windows"]

Flags = NDArray[np.bool_]
Places = NDArray[np.int64]

_BYTES = 4 << 20
_MOST_BYTES = 256 << 20  # a row that is longer is no row
_LF, _CR, _QUOTE, _DOT, _MINUS, _ZERO, _NINE = b'\n\r".-09'
_CUT = np.frombuffer(b"\0" * 8, dtype=np.uint8)


class Window:
    """Whole rows of a file, n of them, each of k cells."""

    def __init__(self, data: bytes, offset: int, starts: Places, ends: Places, quotes: Places) -> None:
        self._bytes = data
        self._data = np.concatenate([np.frombuffer(data, dtype=np.uint8), _CUT])  # so that a look ahead stays inside
        self.offset = offset
        """Of the window in the file."""
        self.starts, self.ends = starts, ends
        """First byte of each cell, and the byte after its last, in the window, shape (n, k)."""
        self._quotes = quotes
        self._counts: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def length(self) -> Places:
        """Bytes of each row without its line end, shape (n,)."""
        return np.asarray(self.ends[:, -1] - self.starts[:, 0])

    def first_row(self) -> bytes:
        """The first row's bytes."""
        return self.line(0)

    def without_first_row(self) -> "Window":
        """The same without it."""
        quotes = self._quotes[self._quotes >= self.ends[0, -1]]
        return Window(self._bytes, self.offset, self.starts[1:], self.ends[1:], quotes)

    def line(self, row: int) -> bytes:
        """A row's bytes without its line end."""
        return self._bytes[self.starts[row, 0] : self.ends[row, -1]]

    def cells(self, rows: NDArray[np.intp], column: int) -> list[bytes]:
        """The bytes of a column's cells in some rows."""
        starts, ends = self.starts[rows, column].tolist(), self.ends[rows, column].tolist()
        data = self._bytes
        return [data[start:end] for start, end in zip(starts, ends, strict=True)]

    def lengths(self, column: int) -> Places:
        """Bytes of a column's cells, shape (n,)."""
        return np.asarray(self.ends[:, column] - self.starts[:, column])

    def odd_rows(self) -> Flags:
        """Rows that must be read to be known, shape (n,): they hold a quote, or start with a blank."""
        odd = np.isin(self._data[self.starts[:, 0]], (9, 32))
        if len(self._quotes) and len(self):
            odd[np.searchsorted(self.starts[:, 0], self._quotes, side="right") - 1] = True
        return odd

    def plain_integers(self, column: int) -> Flags:
        """Cells such as 0, 12, -3: digits alone, no zero in front, shape (n,)."""
        start, end = self.starts[:, column], self.ends[:, column]
        minus = self._data[start] == _MINUS
        first = self._data[start + minus]
        dots, others = self._counted(start, end)
        return np.asarray(
            (end > start + minus) & (dots == 0) & (others == minus) & ((first != _ZERO) | ((end - start == 1) & ~minus))
        )

    def plain_flags(self, column: int) -> Flags:
        """Cells such as True and False, shape (n,); any other way to write them starts otherwise."""
        first, second = (self._data[self.starts[:, column] + i] for i in range(2))
        length = self.lengths(column)
        return np.asarray(
            ((first == ord("T")) & (second == ord("r")) & (length == 4))
            | ((first == ord("F")) & (second == ord("a")) & (length == 5))
        )

    def float_forms(self, column: int) -> tuple[Flags, Flags]:
        """Cells that are `repr` of the float they stand for, as far as can be told by their form, and cells that
        hold nothing but digits, points and a minus in front; shape (n,) each.

        The first: digits, a point, digits; at most 15 of them, so that no other text as short stands for the same
        float (IEEE 754 doubles keep any 15 digits); no zero in front but a single one, none at the end but a single
        one after the point; from 0.0001 on, where repr has no exponent yet.
        """
        start, end = self.starts[:, column], self.ends[:, column]
        data = self._data
        minus = data[start] == _MINUS
        begin = start + minus
        size = end - begin
        dots, others = self._counted(start, end)
        first, last = data[begin], data[end - 1]
        whole = (first != _ZERO) & (first != _DOT)
        tiny = np.logical_and.reduce([data[begin + i] == _ZERO for i in range(2, 6)])
        fraction = (first == _ZERO) & (data[begin + 1] == _DOT) & ~tiny
        ended = (last != _DOT) & ((last != _ZERO) | (data[end - 2] == _DOT))
        bare = others == minus
        plain = (dots == 1) & bare & (size >= 3) & (size <= 16) & (whole | fraction) & ended
        return np.asarray(plain), np.asarray(bare)

    def _counted(self, start: Places, end: Places) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """How many points, and how many bytes that are neither point nor digit, lie between."""
        if self._counts is None:
            data = self._data
            point = data == _DOT
            other = ~(point | ((data >= _ZERO) & (data <= _NINE)))
            dots, others = (np.zeros(len(data) + 1, dtype=np.int32) for _ in range(2))
            np.cumsum(point, out=dots[1:])
            np.cumsum(other, out=others[1:])
            self._counts = dots, others
        dots, others = self._counts
        return dots[end] - dots[start], others[end] - others[start]


def windows(path: Path, separator: str, width: int) -> Iterator[Window | None]:
    """The windows of a file, header included; None, and then no more, at the first that is not understood.

    Args:
        path: the file.
        separator: one ASCII character.
        width: cells in each row.
    """
    offset, rest = 0, b""
    with path.open("rb") as stream:
        while True:
            block = stream.read(max(_BYTES, len(rest)))
            data = rest + block
            if not data:
                return
            if not block and not data.endswith(b"\n"):
                data += b"\n"
            window, used = _window(data, offset, ord(separator), width)
            if used == 0 and (not block or len(data) > _MOST_BYTES):
                window = None
            elif used == 0:
                rest = data
                continue
            yield window
            if window is None or (not block and used == len(data)):
                return
            offset, rest = offset + used, data[used:]


def _window(data: bytes, offset: int, separator: int, width: int) -> tuple[Window | None, int]:
    """The whole rows at the start of some bytes, and how many bytes they are."""
    array = np.frombuffer(data, dtype=np.uint8)
    if b"\0" in data:
        return None, 1
    line_ends, cuts = array == _LF, array == separator
    quotes = np.flatnonzero(array == _QUOTE)
    if len(quotes):
        if not _are_proper(array, quotes, separator):
            return None, 1
        inside = (np.cumsum(array == _QUOTE, dtype=np.uint8) & 1).astype(bool)
        line_ends &= ~inside
        cuts &= ~inside
    found = np.flatnonzero(line_ends)
    if not len(found):
        return None, 0
    used = int(found[-1]) + 1
    cuts[used:] = False
    places = np.flatnonzero(line_ends | cuts)
    if len(places) != len(found) * width:
        return None, 1
    ends = places.reshape(-1, width)
    if not np.array_equal(ends[:, -1], found):
        return None, 1
    starts = np.empty_like(ends)
    starts.ravel()[0] = 0
    starts.ravel()[1:] = places[:-1] + 1
    if b"\r" in data:
        returns = array == _CR
        if len(quotes):
            returns &= ~inside
        before = returns[np.maximum(found - 1, 0)] & (ends[:, -1] > starts[:, -1])
        if int(before.sum()) != int(returns[:used].sum()):
            return None, 1  # a line end of its own to pandas
        ends = ends.copy()
        ends[:, -1] -= before
    return Window(data[:used], offset, starts, ends, quotes[quotes < used]), used


def _are_proper(array: NDArray[np.uint8], quotes: Places, separator: int) -> bool:
    """Whether quotes open where a cell begins and close where it ends, those doubled inside apart."""
    opening, closing = quotes[::2], quotes[1::2]
    before = array[np.maximum(opening - 1, 0)]
    opens = (opening == 0) | np.isin(before, (separator, _LF, _QUOTE))
    after = array[np.minimum(closing + 1, len(array) - 1)]
    closes = (closing == len(array) - 1) | np.isin(after, (separator, _LF, _CR, _QUOTE))
    return bool(opens.all() and closes.all())
