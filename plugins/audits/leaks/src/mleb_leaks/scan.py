"""One pass over all public files: records of test ids, tables as hashes, fingerprints of images."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mleb_core.audits.protocol import AuditedData
from mleb_leaks.files import Item, Left, items_in
from mleb_leaks.formats.documents import read_json, read_json_lines, read_strings, read_text
from mleb_leaks.formats.images import IMAGE_SUFFIXES, read_image
from mleb_leaks.formats.mat import read_mat
from mleb_leaks.formats.record import Record, Unreadable
from mleb_leaks.formats.tables import frames, read_arrays
from mleb_leaks.formats.tfrecord import read_tfrecord
from mleb_leaks.linked import Linked
from mleb_leaks.overlap import Kept
from mleb_leaks.settings import Settings
from mleb_leaks.truth import Truth

__all__ = ["Scan", "scan"]

_TABLES = (".csv", ".tsv", ".parquet")
_TEXTS = (".txt", ".nmea", ".xml", ".log", ".lab", ".ann", ".srt", ".yaml", ".yml", ".md", ".html", ".ini")
_TFRECORDS = (".tfrec", ".tfrecord", ".tfrecords")
_QUIET = (".wav", ".mp3", ".flac", ".ogg", ".aif", ".aiff", ".mp4", ".avi", ".dcm", ".ply", ".npz", ".bin", ".m", ".py")
"""Of these nobody expects answers where no test id is named."""
_ONE_PER_ID = 256 << 10
_BATCH = 5000


@dataclass
class Scan:
    """What public files say."""

    linked: Linked
    """Of test ids."""
    left: Left
    """What was not looked at."""
    tables: list[Kept] = field(default_factory=list)
    """Tables, by file."""
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Width and height of an id's image."""
    looks: list[tuple[bytes, str, int | None]] = field(default_factory=list)
    """What images look like, their files, and positions of the test ids that they are of."""
    looked_at: int = 0
    """Files that were read."""


def scan(data: AuditedData, truth: Truth, settings: Settings) -> Scan:
    """Read everything that is public, within the bounds of the settings."""
    left = Left({})
    result = Scan(Linked(truth), left)
    sample = data.competition.spec.grading.sample
    opened: Counter[str] = Counter()
    for item in items_in(data.data.public, left, settings.archive_bytes):
        if item.name in (f"public/{sample}", "public/description.md"):
            continue
        kind, position, trip = result.linked.of_path(item)
        if position is not None:
            if item.size >= 0:
                result.linked.add_property(kind, "#bytes", position, float(item.size), item)
            if item.time is not None:
                result.linked.add_property(kind, "#time", position, item.time, item)
        elif trip is None and item.suffix not in _TABLES and _is_of_one_thing(item):
            kind = f"{kind} (other)"  # such as images of train, which are only compared with those of test
        opened[kind] += 1
        if opened[kind] > settings.files:
            left.add(f"of the kind {kind} the first {settings.files} by name were opened", item.name)
            continue
        if opened[kind] % 500 == 1:
            data.progress(f"reading {item.name}")
        try:
            if _read(item, kind, position, trip, result, settings):
                result.looked_at += 1
            else:
                left.add(f"files of the kind *{item.suffix} are not read", item.name)
        except Unreadable as error:
            left.add(str(error), item.name)
        except Exception as error:  # each format breaks in ways of its own, and costs its own file only
            left.add(f"cannot be read ({type(error).__name__})", item.name)
    return result


def _is_of_one_thing(item: Item) -> bool:
    return item.suffix in (*IMAGE_SUFFIXES, ".npy", ".npz", ".mat")


def _read(  # noqa: PLR0917
    item: Item, kind: str, position: int | None, trip: str | None, result: Scan, settings: Settings
) -> bool:
    """Read one file. Returns whether its kind is read at all."""
    most = settings.file_bytes
    suffix, linked = item.suffix, result.linked
    if suffix in _TABLES and position is None and trip is None:
        with item.open() as stream:
            _keep_table(item, kind, frames(stream, suffix, most), result, settings)
    elif suffix in IMAGE_SUFFIXES:
        with item.open() as stream:
            record = read_image(stream, item.size, most)
        _keep_image(item, kind, position, record, result)
    elif suffix in _TFRECORDS or ".tfrec" in item.name.rpartition("/")[2]:
        with item.open() as stream:
            for record in itertools.islice(read_tfrecord(stream), settings.rows):
                linked.add_record(kind, record, item)
    elif suffix in (".json", ".geojson", ".jsonl", ".ndjson"):
        with item.open() as stream:
            records = read_json(stream, most) if suffix in (".json", ".geojson") else read_json_lines(stream)
            _keep_records(item, kind, position, records, result, settings)
    elif suffix in (".mat", ".npy", ".npz"):
        if position is None:
            return True  # without an id, nobody can tell what it answers
        with item.open() as stream:
            record = read_mat(stream, most) if suffix == ".mat" else read_arrays(stream, suffix, most)
        linked.add(kind, position, record, item)
    elif suffix in _TEXTS or suffix in _TABLES:
        if position is None and trip is None:
            return True
        with item.open() as stream:
            record = read_text(stream, _ONE_PER_ID if suffix in _TABLES else most)
        if position is not None:
            linked.add(kind, position, record, item)
        elif trip is not None:
            linked.add_trip(kind, trip, record, item)
    elif position is not None:
        with item.open() as stream:
            linked.add(kind, position, read_strings(stream), item)
        result.left.add(f"of *{suffix} only the readable words at the beginning were searched", item.name)
    else:
        return suffix in _QUIET
    return True


def _keep_table(item: Item, kind: str, pieces: Iterable[object], result: Scan, settings: Settings) -> None:
    import pandas as pd

    kept: Kept | None = None
    for piece in pieces:
        assert isinstance(piece, pd.DataFrame)
        if kept is None:
            kept = Kept(item.name, [str(column) for column in piece.columns])
            result.tables.append(kept)
        if kept.rows >= settings.rows:
            result.left.add(f"of long tables the first {settings.rows} rows were read", item.name)
            break
        kept.test_rows += result.linked.add_table(kind, piece, item)
        kept.add(piece)
    if kept is not None and kept.cut:
        result.left.add("of wide tables some rows were not compared with train", item.name)


def _keep_records(  # noqa: PLR0917
    item: Item, kind: str, position: int | None, records: Iterator[Record], result: Scan, settings: Settings
) -> None:
    import pandas as pd

    rows: list[dict[str, str]] = []
    kept: Kept | None = None

    def flush() -> None:
        nonlocal kept
        frame = pd.DataFrame(rows).fillna("") if rows else None
        rows.clear()
        if frame is None:
            return
        if kept is None:
            kept = Kept(item.name, [str(column) for column in frame.columns])
            result.tables.append(kept)
        frame = frame.reindex(columns=kept.columns, fill_value="")
        ids = [column for column in result.linked.truth.id_columns if column in frame.columns]
        if len(ids) == 1 and len(result.linked.truth.id_columns) == 1:
            kept.test_rows += int(frame[ids[0]].isin(result.linked.truth.index.keys()).sum())
        kept.add(frame)

    for record in itertools.islice(records, settings.rows):
        if record.row is None:
            if position is not None:
                result.linked.add(kind, position, record, item)
            return
        result.linked.add_record(kind, record, item)
        rows.append({name: str(value) for name, value in record.fields.items()})
        if len(rows) >= _BATCH:
            flush()
    flush()


def _keep_image(item: Item, kind: str, position: int | None, record: Record, result: Scan) -> None:
    look = record.fields.pop("#look", None)
    if look is not None:
        result.looks.append((look, item.name, position))
    if position is not None:
        result.sizes.setdefault(position, (record.fields["#width"], record.fields["#height"]))
        result.linked.add(kind, position, record, item)


def role(name: str) -> str:
    """`test` or `train` where a path says so (valid counts as train: its labels are public), else ``."""
    words = set(re.findall(r"[a-z]+", name.lower()))
    if any(word.startswith("test") for word in words):
        return "test"
    return "train" if any(word.startswith(("train", "valid", "dev", "label")) for word in words) else ""
