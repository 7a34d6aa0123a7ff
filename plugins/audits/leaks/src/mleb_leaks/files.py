"""All public files, those in archives too, one after the other; large ones are never held as a whole."""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

__all__ = ["Item", "Left", "items_in"]

_DEEP = 3
_BROKEN = (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Item:
    """One file, in an archive or not. It can be opened once, before the next item is asked for."""

    name: str
    """Path below the prepared data, `public/test.zip!test.json` in an archive."""
    size: int
    """Bytes; -1 where that is not known before reading."""
    time: float | None
    """When an archive says that it was written, in seconds; None outside of archives, where preparation sets it."""
    open: Callable[[], IO[bytes]]
    """Opens it for reading."""

    @property
    def parts(self) -> list[str]:
        """Names on the way to it, without `public`."""
        return self.name.replace("!", "/").split("/")[1:]

    @property
    def suffix(self) -> str:
        """The last suffix, in lower case, `.json`; that of the inner file of `x.csv.gz` too."""
        return Path(self.name.rpartition("/")[2].rpartition("!")[2].lower()).suffix


@dataclass
class Left:
    """What was not looked at, and why: said in the end."""

    reasons: dict[str, list[str]]
    """Names by reason."""

    def add(self, reason: str, name: str) -> None:
        """Note a file."""
        self.reasons.setdefault(reason, []).append(name)


def items_in(public: Path, left: Left, archive_bytes: int) -> Iterator[Item]:
    """Every regular file below a folder, by path; archives (zip, tar, gz; nested too) by their members.

    Args:
        public: the folder.
        left: is told of archives that cannot be opened or are too large.
        archive_bytes: larger archives are not opened.
    """
    for path in sorted(public.rglob("*")):
        try:
            facts = path.lstat()
        except OSError:
            continue
        if not stat.S_ISREG(facts.st_mode):
            continue
        name = f"public/{path.relative_to(public).as_posix()}"
        item = Item(name, facts.st_size, None, lambda path=path: path.open("rb"))  # type: ignore[misc]
        yield from _inside(item, left, archive_bytes, 0)


def _inside(item: Item, left: Left, archive_bytes: int, depth: int) -> Iterator[Item]:
    name = item.name.lower()
    kind = (
        "zip"
        if name.endswith((".zip", ".npz")) and not name.endswith(".npz")
        else "tar"
        if name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))
        else "gz"
        if name.endswith(".gz")
        else None
    )
    if name.endswith((".7z", ".rar")):
        left.add("archives of this kind are not opened", item.name)
        return
    if kind is None:
        yield item
        return
    if item.size > archive_bytes or depth >= _DEEP:
        left.add("archives that are too large or lie too deep are not opened", item.name)
        return
    try:
        if kind == "gz":
            yield from _inside(_unpacked(item), left, archive_bytes, depth + 1)
        elif kind == "zip":
            yield from _in_zip(item, left, archive_bytes, depth)
        else:
            yield from _in_tar(item, left, archive_bytes, depth)
    except _BROKEN as error:
        left.add(f"archives cannot be read ({type(error).__name__})", item.name)


def _unpacked(item: Item) -> Item:
    inner = item.name.rpartition("/")[2].rpartition("!")[2][:-3]
    return Item(f"{item.name}!{inner}", -1, item.time, lambda: cast("IO[bytes]", _Gunzip(item.open())))


class _Gunzip(gzip.GzipFile):
    """Closes what it reads from."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._below = raw

    def close(self) -> None:
        super().close()
        self._below.close()


def _in_zip(item: Item, left: Left, archive_bytes: int, depth: int) -> Iterator[Item]:
    with item.open() as raw:
        # A member of another archive cannot be read in any order: it is held, up to the limit of a nested one.
        stream = raw if depth == 0 else io.BytesIO(raw.read(min(archive_bytes, 512 << 20)))
        with zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                if info.is_dir():
                    continue
                if info.flag_bits & 1:
                    left.add("members of archives need a password", f"{item.name}!{info.filename}")
                    continue
                time = float(info.date_time[0] * 372 + info.date_time[1] * 31 + info.date_time[2]) * 86400.0
                time += info.date_time[3] * 3600 + info.date_time[4] * 60 + info.date_time[5]
                member = Item(
                    f"{item.name}!{info.filename}",
                    info.file_size,
                    time,
                    lambda info=info: archive.open(info),  # type: ignore[misc]
                )
                yield from _inside(member, left, archive_bytes, depth + 1)


def _in_tar(item: Item, left: Left, archive_bytes: int, depth: int) -> Iterator[Item]:
    with item.open() as raw, tarfile.open(fileobj=raw, mode="r|*") as archive:  # read from start to end
        for info in archive:
            if not info.isreg():
                continue
            stream = archive.extractfile(info)
            if stream is None:
                continue
            with closing(stream):
                member = Item(
                    f"{item.name}!{info.name.removeprefix('./')}",
                    info.size,
                    float(info.mtime),
                    lambda stream=stream: stream,  # type: ignore[misc]
                )
                yield from _inside(member, left, archive_bytes, depth + 1)
