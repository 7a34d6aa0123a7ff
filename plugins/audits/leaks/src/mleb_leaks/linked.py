"""Brings together what public files say of a test id with that id's answers."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mleb_leaks.files import Item
from mleb_leaks.formats.record import Record
from mleb_leaks.truth import Truth, candidates, normal

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Linked", "Seen", "Source"]

_MOST_FIELDS = 400


@dataclass(frozen=True)
class Seen:
    """A value that stands with a test id."""

    value: Any
    """A text, a number, or a tuple of these."""
    file: str
    """Where."""
    row: int | None
    """Row or record; None: the file is one record."""


@dataclass
class Source:
    """Files of one kind, such as all `public/test/{id}.json`, and what they say."""

    fields: dict[str, dict[int, Seen]] = field(default_factory=dict)
    """By name of the field and position of the id; the first that was seen of each."""
    texts: dict[int, tuple[str, list[str]]] = field(default_factory=dict)
    """File and lines by position of the id, for text files."""
    trips: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    """File and lines by the first part of ids of several columns, as in `Truth.trips`."""
    rows: int = 0
    """Records of any id."""


class Linked:
    """All sources by kind."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.sources: dict[str, Source] = {}

    def of_path(self, item: Item) -> tuple[str, int | None, str | None]:
        """The kind of a file; the position of the id that its path spells; the first part of ids that it spells.

        Kind: the path with the id's place held by `{id}` and digits by `#`.
        """
        truth = self.truth
        parts = item.parts
        for candidate in candidates(parts):
            key = normal(candidate)
            position = truth.index.get(candidate, truth.loose.get(key))
            digits = re.findall(r"[0-9]+", candidate) if position is None and truth.numbers else []
            if len(digits) == 1 and len(digits[0]) >= 3:  # `Sample0028_data` is 28: the only number in a name
                position = truth.numbers.get(int(digits[0]))
            if position is not None and (truth.telling or len(key) >= 3):
                return self._kind(item, candidate), position, None
            if key in truth.trips:
                return self._kind(item, candidate), None, key
        return self._kind(item, None), None, None

    def _kind(self, item: Item, candidate: str | None) -> str:
        name = item.name
        if candidate:
            loose = r"[^A-Za-z0-9]+".join(map(re.escape, re.split(r"[^A-Za-z0-9]+", candidate)))
            name = re.sub(loose, "{id}", name)
        return re.sub(r"[0-9]+", "#", name)

    def add(self, kind: str, position: int, record: Record, item: Item) -> None:
        """Keep what a record says of an id."""
        source = self.sources.setdefault(kind, Source())
        source.rows += 1
        for name, value in record.fields.items():
            if name in source.fields or len(source.fields) < _MOST_FIELDS:
                source.fields.setdefault(name, {}).setdefault(position, Seen(value, item.name, record.row))
        if record.texts:
            source.texts.setdefault(position, (item.name, record.texts))

    def add_property(self, kind: str, name: str, position: int, value: float, item: Item) -> None:
        """Keep what is not in a file but about it: `#bytes`, `#time`."""
        source = self.sources.setdefault(kind, Source())
        source.fields.setdefault(name, {}).setdefault(position, Seen(value, item.name, None))

    def add_trip(self, kind: str, trip: str, record: Record, item: Item) -> None:
        """Keep the lines of a file about several ids with one first part."""
        if record.texts:
            self.sources.setdefault(kind, Source()).trips.setdefault(trip, (item.name, record.texts))

    def add_record(self, kind: str, record: Record, item: Item) -> None:
        """Keep a record that names a test id in a field."""
        position = self._position(record.fields)
        if position is not None:
            self.add(kind, position, record, item)

    def add_table(self, kind: str, frame: "pd.DataFrame", item: Item) -> int:
        """Keep the rows of a piece of a table that name a test id. Returns how many did."""
        truth = self.truth
        if len(truth.id_columns) > 1:
            if not set(truth.id_columns) <= set(frame.columns):
                return 0
            ids = frame[list(truth.id_columns)].agg("\n".join, axis=1)
            column = None
        else:
            column = self._id_column(frame)
            if column is None:
                return 0
            ids = frame[column]
        positions = ids.map(truth.index)
        if column is not None and positions.isna().all():
            positions = ids.map(normal).map(truth.loose)
        known = positions.notna()
        names = [str(name) for name in frame.columns if name != column and name not in truth.id_columns]
        kept = frame[known]
        for position, row, values in zip(
            positions[known].astype(int), kept.index, kept[names].itertuples(index=False, name=None), strict=True
        ):
            self.add(kind, int(position), Record(dict(zip(names, values, strict=True)), int(row)), item)
        return int(known.sum())

    def _id_column(self, frame: "pd.DataFrame") -> str | None:
        """The column that holds test ids: of the same name, else one whose cells would hardly be ids by chance."""
        truth = self.truth
        named = [column for column in frame.columns if column in truth.id_columns]
        if named:
            return str(named[0])
        if not truth.telling:
            return None
        for column in frame.columns:
            head = frame[column].iloc[:20_000]
            hits = head.isin(truth.index.keys()) | head.map(normal).isin(truth.loose.keys())
            if hits.sum() >= min(5, len(truth.ids)) and not head[hits].duplicated().any():
                return str(column)
        return None

    def _position(self, fields: Mapping[str, Any]) -> int | None:
        truth = self.truth
        if len(truth.id_columns) > 1:
            if not set(truth.id_columns) <= set(fields):
                return None
            return truth.index.get("\n".join(str(fields[column]) for column in truth.id_columns))
        names: Iterable[str] = [name for name in (*truth.id_columns, "#key") if name in fields]
        if not names and truth.telling:
            names = [name for name, value in fields.items() if isinstance(value, str) and len(value) < 200]
        for name in names:
            text = str(fields[name])
            position = truth.index.get(text, truth.loose.get(normal(text)))
            if position is not None:
                return position
        return None
