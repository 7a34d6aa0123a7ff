"""Raw files and members of raw archives by one text: "train.csv", "train.zip!train/1.jpg"."""

import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mleb_core.errors import PreparationError
from mleb_core.prepare.archives import ArchiveReader, open_archive
from mleb_core.prepare.files import files_below

__all__ = ["Sources", "matcher"]


class Sources:
    """The raw folder, with its archives open."""

    def __init__(self, raw: Path, scratch: Path) -> None:
        """Args:
        raw: the folder.
        scratch: where archives are unpacked that are best read in one go.
        """
        self.raw, self.scratch = raw, scratch
        self._unpacked: dict[str, Path] = {}
        self._archives: dict[str, ArchiveReader] = {}

    def archive(self, name: str) -> ArchiveReader:
        """The archive of that path in raw.

        Raises:
            PreparationError: it is missing or broken.
        """
        if name not in self._archives:
            self._archives[name] = open_archive(self.raw / name, self.scratch)
        return self._archives[name]

    def need(self, name: str) -> Path:
        """The path of a raw file or folder.

        Raises:
            PreparationError: it is not there.
        """
        path = self.raw / name
        if not path.exists():
            there = ", ".join(sorted(p.name for p in self.raw.iterdir())[:8]) if self.raw.is_dir() else "nothing"
            raise PreparationError(f"{name} is missing in the raw data {self.raw}, which holds {there or 'nothing'}")
        return path

    def names(self, text: str) -> list[str]:
        """The files of raw, or of the archive before the `!`, by path; only of the folders before the first pattern
        or column in the text.

        Raises:
            PreparationError: that folder, or the archive, is not there.
        """
        archive, mark, _ = text.partition("!")
        if mark:
            return self.archive(archive).names()
        fixed = re.split(r"[*?{]", text)[0].rpartition("/")[0]
        prefix = f"{fixed}/" if fixed else ""
        return [prefix + name for name in files_below(self.need(fixed))]

    @contextmanager
    def open(self, text: str) -> Iterator[IO[bytes]]:
        """The bytes of a file or member; of a .zip that holds a single file, that file.

        Raises:
            PreparationError: it is not there, or a .zip holds several.
        """
        if text in self._unpacked:
            with self._unpacked[text].open("rb") as file:
                yield file
            return
        archive, mark, member = self._member(text)
        stream = self.archive(archive).open(member) if mark else self.need(text).open("rb")
        with stream:
            try:
                yield stream
            except zipfile.BadZipFile as error:
                raise PreparationError(f"{self.raw / archive} is broken or cut short ({error}); get it again") from None

    def large_file(self, text: str, least: int) -> Path | None:
        """The file of that text, a member unpacked into the scratch folder, once; None below `least` bytes.

        Raises:
            PreparationError: as in `open`.
        """
        archive, mark, member = self._member(text)
        if not mark:
            path = self.need(text)
            return path if path.is_file() and path.stat().st_size >= least else None
        if text not in self._unpacked:
            reader = self.archive(archive)
            if reader.size(member) < least:
                return None
            self.scratch.mkdir(parents=True, exist_ok=True)
            folder = tempfile.mkdtemp(dir=self.scratch, prefix="member-")
            reader.extract([(member, target := f"{folder}/{member.rpartition('/')[2]}")])
            self._unpacked[text] = Path(target)
        return self._unpacked[text]

    def _member(self, text: str) -> tuple[str, str, str]:
        """Archive, mark and member that a text stands for; the single member of a .zip."""
        archive, mark, member = text.partition("!")
        if not mark and text.endswith(".zip"):
            names = self.archive(archive).names()
            if len(names) != 1:
                raise PreparationError(f"{self.raw / archive} holds {len(names)} files; say which: {archive}!NAME")
            mark, member = "!", names[0]
        return archive, mark, member


def matcher(pattern: str) -> re.Pattern[str]:
    """A regular expression for a path pattern: * and ? within a part, ** across parts, {name} a named part.

    Raises:
        PreparationError: a name stands there twice or is no identifier.
    """
    result = ""
    for piece in re.split(r"(\*\*/?|\*|\?|\{[^{}]*\})", pattern):
        if piece == "**/":
            result += r"(?:.*/)?"
        elif piece == "**":
            result += ".*"
        elif piece in ("*", "?"):
            result += "[^/]*" if piece == "*" else "[^/]"
        elif piece.startswith("{"):
            result += f"(?P<{piece[1:-1]}>[^/]+)"
        else:
            result += re.escape(piece)
    try:
        return re.compile(result)
    except re.error as error:
        raise PreparationError(f"{pattern!r}: {error}; expected a path with names in braces, each once") from None
