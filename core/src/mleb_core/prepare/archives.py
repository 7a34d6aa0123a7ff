"""Reading and packing archives: zip, tar, tar.gz, 7z.

Members are read by name and written where the caller says; only regular files count. A member whose path leaves
its folder, a link and a device are refused, whoever made the archive. 7z needs the extra `mleb-core[7z]`.
"""

import gzip
import os
import shutil
import stat
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from mleb_core.errors import PreparationError
from mleb_core.prepare.checksums import workers
from mleb_core.prepare.files import copy_files, files_below
from mleb_core.prepare.problems import flat

__all__ = ["ArchiveReader", "extract_archive", "open_archive", "write_archive", "write_zip"]

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".7z")
_RUN = 64  # members of a zip that one thread unpacks in one go
_PIECE = 1 << 20  # bytes
_ENCRYPTED = 1
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, EOFError, NotImplementedError)


class ArchiveReader:
    """The regular files in an archive, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Names of the members, in the order of the archive."""
        raise NotImplementedError

    def open(self, name: str) -> IO[bytes]:
        """A member's bytes.

        Raises:
            PreparationError: there is no such member, or the archive is broken.
        """
        raise NotImplementedError

    def size(self, name: str) -> int:
        """A member's bytes when unpacked; raises as `open`."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """All of a member's bytes; raises as `open`."""
        with _readable(self.path, name), self.open(name) as stream:
            return stream.read()

    def extract(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Write members, (name, target path) each; missing folders are made, several members at a time.

        Raises:
            PreparationError: as in `open`, or a target is there already.
        """
        raise NotImplementedError

    def missing(self, name: str) -> PreparationError:
        """The error for a member that is not there."""
        return PreparationError(f"{self.path} has no member {name!r}; a file is expected there")


class _Zip(ArchiveReader):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with _readable(path):
            self._zip = zipfile.ZipFile(path)
        self._infos = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}

    def names(self) -> list[str]:
        return list(self._infos)

    def open(self, name: str) -> IO[bytes]:
        info = self._info(name)
        with _readable(self.path, name):
            return self._zip.open(info)

    def size(self, name: str) -> int:
        return self._info(name).file_size

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = self._infos.get(name)
        if info is None:
            raise self.missing(name)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise PreparationError(f"{self.path}: member {name!r} is a link; only files are taken from archives")
        return info

    def extract(self, pairs: Iterable[tuple[str, str]]) -> None:
        pairs = list(pairs)
        for folder in {target.rpartition("/")[0] for _, target in pairs}:
            Path(folder).mkdir(parents=True, exist_ok=True)
        runs = [pairs[i : i + _RUN] for i in range(0, len(pairs), _RUN)] if len(pairs) > _RUN else [[p] for p in pairs]
        with self.path.open("rb") as file, ThreadPoolExecutor(workers()) as pool:
            for _ in pool.map(lambda run: self._extract_run(file.fileno(), run), runs):
                pass

    def _extract_run(self, handle: int, pairs: Sequence[tuple[str, str]]) -> None:
        for name, target in pairs:
            info = self._info(name)
            with _readable(self.path, name), _created(target) as stream:
                if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    with self._zip.open(info) as member:
                        shutil.copyfileobj(member, stream, _PIECE)
                    continue
                size = crc = 0
                for piece in _pieces(handle, info):
                    size, crc = size + len(piece), zlib.crc32(piece, crc)
                    if size > info.file_size:
                        break
                    stream.write(piece)
                if (size, crc) != (info.file_size, info.CRC):
                    raise zipfile.BadZipFile("its checksum is another")


def _pieces(handle: int, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """What a stored or deflated member holds, straight from the file: zipfile takes turns at reading it."""
    head = os.pread(handle, 30, info.header_offset)  # APPNOTE.TXT 4.3.7
    if len(head) < 30 or head[:4] != b"PK\3\4":
        raise zipfile.BadZipFile("no member where one should begin")
    at = info.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    end = at + info.compress_size
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
    while at < end:
        data = os.pread(handle, min(_PIECE, end - at), at)
        if not data:
            raise EOFError
        at += len(data)
        while data and inflate is not None:
            yield inflate.decompress(data, _PIECE)
            data = inflate.unconsumed_tail
        if data:
            yield data
    if inflate is not None:
        yield inflate.flush()


class _Unpacked(ArchiveReader):
    """An archive that is best read in one go: unpacked once, when first needed, into a scratch folder."""

    def __init__(self, path: Path, scratch: Path) -> None:
        super().__init__(path)
        self._scratch, self._folder, self._lock = scratch, None, threading.Lock()

    _folder: Path | None

    def names(self) -> list[str]:
        return files_below(self._unpacked())

    def open(self, name: str) -> IO[bytes]:
        path = self._unpacked() / _safe(name, self.path)
        if not path.is_file():
            raise self.missing(name)
        return path.open("rb")

    def size(self, name: str) -> int:
        with self.open(name) as stream:
            return os.fstat(stream.fileno()).st_size

    def extract(self, pairs: Iterable[tuple[str, str]]) -> None:
        folder = self._unpacked()
        sources = []
        for name, target in pairs:
            path = folder / _safe(name, self.path)
            if not path.is_file():
                raise self.missing(name)
            sources.append((os.fspath(path), target))
        copy_files(sources, own=True)

    def _unpacked(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._scratch.mkdir(parents=True, exist_ok=True)
                folder = Path(tempfile.mkdtemp(dir=self._scratch, prefix="unpacked-"))
                (_un7z if self.path.name.endswith(".7z") else _untar)(self.path, folder)
                self._folder = folder
            return self._folder


def open_archive(path: Path, scratch: Path) -> ArchiveReader:
    """Open an archive for reading.

    Args:
        path: the archive.
        scratch: where tar and 7z archives are unpacked; the caller removes it.

    Raises:
        PreparationError: it is missing, of no known kind, or broken.
    """
    if not path.is_file():
        raise PreparationError(f"{path} is missing; an archive is expected there")
    if not path.name.endswith(SUFFIXES):
        raise PreparationError(f"{path}: archives end in {', '.join(SUFFIXES)}")
    return _Zip(path) if path.name.endswith(".zip") else _Unpacked(path, scratch)


def extract_archive(path: Path, folder: Path) -> None:
    """Unpack a whole archive into a folder, which is made.

    Raises:
        PreparationError: it is missing or broken, or a member is a link or leaves the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        reader = open_archive(path, Path(scratch))
        reader.extract([(name, f"{folder}/{_safe(name, path)}") for name in reader.names()])


def write_zip(target: Path, members: Iterable[tuple[str, Path | bytes]], *, compress: bool = False) -> None:
    """`write_archive` of a zip."""
    write_archive(target, members, compress=compress)


def write_archive(target: Path, members: Iterable[tuple[str, Path | bytes]], *, compress: bool = False) -> None:
    """Pack an archive, its kind by the suffix; the same members give the same bytes (7z apart).

    Args:
        target: must not exist; its folder is made.
        members: (name, content) in order; a Path is the file to pack.
        compress: deflate the members of a zip; .tar.gz and .7z are compressed always.

    Raises:
        PreparationError: a file is missing, or a name stands there twice.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    checked = _once(members, target)
    if target.name.endswith(".zip"):
        _write_zip(target, checked, zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED)
    elif target.name.endswith(".7z"):
        with _py7zr().SevenZipFile(target, "x") as archive:
            for name, content in checked:
                archive.writestr(_content(content), name)
    else:
        with target.open("xb") as raw:
            # mtime=0 and no file name: gzip's header would differ from run to run
            packed: Any = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if target.name.endswith("gz") else raw
            with tarfile.open(fileobj=packed, mode="w") as tar:
                for name, content in checked:
                    data = _content(content)
                    info = tarfile.TarInfo(name)
                    info.size, info.mode = len(data), 0o644
                    tar.addfile(info, BytesIO(data))
            if packed is not raw:
                packed.close()


def _write_zip(target: Path, members: Iterable[tuple[str, Path | bytes]], method: int) -> None:
    with zipfile.ZipFile(target, "x") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr, info.create_system = method, 0o644 << 16, 3
            if isinstance(content, bytes):
                archive.writestr(info, content)
                continue
            with _source(content) as stream:
                info.file_size = os.fstat(stream.fileno()).st_size  # decides on zip64 beforehand
                with archive.open(info, "w") as member:
                    shutil.copyfileobj(stream, member, 1 << 20)


def _once(members: Iterable[tuple[str, Path | bytes]], target: Path) -> Iterator[tuple[str, Path | bytes]]:
    seen: set[str] = set()
    for name, content in members:
        if name in seen:
            raise PreparationError(f"{target}: member {name!r} is made twice")
        seen.add(name)
        yield name, content


def _content(content: Path | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    with _source(content) as stream:
        return stream.read()


def _source(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise PreparationError(f"{path} is missing; a file is expected there") from None


def _untar(path: Path, folder: Path) -> None:
    with _readable(path), tarfile.open(path) as tar:
        for member in tar:
            if member.isdir():
                continue
            if not member.isfile():
                raise PreparationError(f"{path}: member {member.name!r} is no file; only files are taken from archives")
            target = folder / _safe(member.name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            stream = tar.extractfile(member)
            assert stream is not None  # isfile
            with target.open("wb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)


def _un7z(path: Path, folder: Path) -> None:
    py7zr = _py7zr()
    try:
        with py7zr.SevenZipFile(path) as archive:
            for name in archive.getnames():
                _safe(name, path)
            archive.extractall(folder)
    except (py7zr.exceptions.ArchiveError, *_BROKEN) as error:
        raise _broken(path, error) from None
    for name in files_below(folder):
        if (folder / name).is_symlink():
            raise PreparationError(f"{path}: member {name!r} is a link; only files are taken from archives")


def _py7zr() -> Any:
    try:
        import py7zr  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise PreparationError("7z archives need the package py7zr: pip install 'mleb-core[7z]'") from None
    return py7zr


def _safe(name: str, path: Path) -> str:
    """A member's relative path, refused where it leaves its folder."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or not parts:
        raise PreparationError(f"{path}: member {name!r} would leave the folder it is unpacked into")
    return "/".join(parts)


def _created(target: str) -> IO[bytes]:
    try:
        return open(target, "xb")  # noqa: PTH123 - a Path for each of a million files takes its time
    except FileExistsError:
        raise PreparationError(f"{target} is made twice") from None


@contextmanager
def _readable(path: Path, member: str | None = None) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _broken(path, error, member) from None
    except RuntimeError as error:  # zipfile's word for a password
        raise PreparationError(f"{path}{f': {member}' if member else ''}: {flat(error)}") from None


def _broken(path: Path, error: BaseException, member: str | None = None) -> PreparationError:
    inside = f", member {member!r}," if member else ""
    return PreparationError(f"{path}{inside} is broken or cut short ({flat(error)}); get it again")
