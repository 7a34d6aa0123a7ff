"""The workspace: the files that actions may read and write, and what is kept of each for undoing.

    workspace/            the agent's own files; scripts run here
      data -> ...         the competition's data; not to be written
      submission -> ...   where submission.csv goes

Whatever actions write is copied to the run's code directory at once, so that it is collected however the run ends.
"""

import difflib
import os
from pathlib import Path, PurePosixPath

from mleb_mlagentbench.ends import ActionError

__all__ = ["Workspace", "clipped", "numbered"]

MOST_TEXT = 8 * 1024**2
"""Bytes of a file that actions look at."""
MOST_WRITTEN = 16 * 1024**2
"""Bytes that actions write into one file."""
MOST_LISTED = 300


class Workspace:
    """Reads, writes and undoes by names relative to the workspace; every refusal is an ActionError in words."""

    def __init__(self, home: Path, *, data: Path, submission: Path, code: Path) -> None:
        """Make it in the agent's home.

        Args:
            home: of the agent.
            data: the competition's data.
            submission: directory of the hand-in.
            code: directory for copies of what is written.
        """
        self.root, self._kept = home / "workspace", home / "versions"
        for path in (self.root, self._kept):
            path.mkdir(exist_ok=True)
        for name, target in (("data", data), ("submission", submission)):
            if not (self.root / name).is_symlink():
                (self.root / name).symlink_to(target)
        self._code, self._roots = code, (self.root.resolve(), submission.resolve())
        self._versions: dict[str, list[Path | None]] = {}
        self._number = 0

    def listing(self, name: str) -> str:
        """What is in a folder: names, sizes, folders with a slash."""
        folder = self._path(name)
        if not folder.is_dir():
            raise ActionError(f"{name} is no folder")
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
        lines = [f"{path.name}/" if path.is_dir() else f"{path.name}  {_size(path)}" for path in entries[:MOST_LISTED]]
        if len(entries) > MOST_LISTED:
            lines.append(f"... and {len(entries) - MOST_LISTED:,} more")
        return "\n".join(lines) or "(empty)"

    def read(self, name: str) -> str:
        """A text file, of which at most the first 8 MiB."""
        path = self._path(name)
        if not path.is_file():
            raise ActionError(f"{name} is no file" if path.exists() else f"there is no file {name}")
        with path.open("rb") as file:
            content = file.read(MOST_TEXT)
        if b"\0" in content[:65536]:
            raise ActionError(f"{name} is no text file; write a script that looks at it")
        return content.decode(errors="replace")

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return self._path(name).exists()

    def write(self, name: str, text: str) -> str:
        """Write a text file whole, keeping what was there for `undo`; says what has changed."""
        content = text.encode(errors="replace")
        return self._put(name, content)

    def copy(self, source: str, target: str) -> str:
        """Copy a file within the workspace."""
        path = self._path(source)
        if not path.is_file():
            raise ActionError(f"{source} is no file" if path.exists() else f"there is no file {source}")
        if path.stat().st_size > MOST_WRITTEN:
            raise ActionError(f"{source} is larger than {MOST_WRITTEN // 1024**2} MiB; copy it in a script")
        return self._put(target, path.read_bytes())

    def undo(self, name: str) -> str:
        """Bring back what a file was before the last action that changed it; says what has changed."""
        path = self._path(name, write=True)
        versions = self._versions.get(self._key(name), [])
        if not versions:
            raise ActionError(f"no action has changed {name}, or all changes are undone")
        before, kept = _text(path), versions.pop()
        if kept is None:
            path.unlink(missing_ok=True)
            self._copy_out(name, None)
            return f"{name} is removed: it was not there before."
        content = kept.read_bytes()
        self._replace(path, content)
        self._copy_out(name, content)
        kept.unlink()
        return difference(before, _text(path), name)

    def script(self, name: str) -> PurePosixPath:
        """A script's path relative to the workspace."""
        if not self._path(name).is_file():
            raise ActionError(f"there is no script {name}")
        return self._relative(name)

    def _put(self, name: str, content: bytes) -> str:
        if len(content) > MOST_WRITTEN:
            raise ActionError(f"that is more than {MOST_WRITTEN // 1024**2} MiB; let a script write it")
        path = self._path(name, write=True)
        if path.is_dir():
            raise ActionError(f"{name} is a folder")
        if blocked := [parent.name for parent in path.parents if parent.exists() and not parent.is_dir()]:
            raise ActionError(f"{name} cannot be written: {blocked[0]} is no folder")
        before = _text(path)
        kept: Path | None = None
        if path.is_file():
            self._number += 1
            kept = self._kept / f"{self._number:06}"
            kept.write_bytes(path.read_bytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        self._replace(path, content)
        self._versions.setdefault(self._key(name), []).append(kept)
        self._copy_out(name, content)
        if kept is None:
            return f"{name} is written, {len(content):,} bytes."
        return difference(before, _text(path), name)

    def _replace(self, path: Path, content: bytes) -> None:
        part = path.with_name(f".{path.name[:100]}.part")
        part.write_bytes(content)
        os.replace(part, path)  # noqa: PTH105  # whole, and never through a link

    def _copy_out(self, name: str, content: bytes | None) -> None:
        relative = self._relative(name)
        if relative.parts[0] == "submission":
            return
        target = self._code / relative
        if content is None:
            target.unlink(missing_ok=True)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        self._replace(target, content)

    def _relative(self, name: str) -> PurePosixPath:
        relative = PurePosixPath(name.strip())
        if not name.strip() or "\0" in name:
            raise ActionError("a file's name is empty or holds a zero byte")
        if relative.is_absolute() or name.strip().startswith("~"):
            raise ActionError(
                f"{name} is an absolute name; give names relative to the workspace, such as data/train.csv"
            )
        if ".." in relative.parts:
            raise ActionError(f"{name} leads out of the workspace; names must not hold '..'")
        return relative

    def _key(self, name: str) -> str:
        return str(self._path(name, write=True))

    def _path(self, name: str, *, write: bool = False) -> Path:
        """Where a name leads.

        Raises:
            ActionError: out of the workspace, or into the data for writing.
        """
        relative = self._relative(name)
        path = self.root / relative
        if relative.parts[:1] == ("data",):
            if write:
                raise ActionError(f"{name} cannot be written: the data is not to be changed")
            return path  # the data's own files may be links
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            raise ActionError(f"{name} cannot be followed: a link that leads nowhere") from None
        if not any(real.is_relative_to(root) for root in self._roots):
            raise ActionError(f"{name} leads out of the workspace by a link")
        if write and real in self._roots:
            raise ActionError(f"{name} is a folder")
        return path


def difference(before: str, after: str, name: str, most: int = 200) -> str:
    """What has changed, as a unified diff of at most so many lines."""
    lines = list(
        difflib.unified_diff(before.splitlines(), after.splitlines(), f"{name} before", f"{name} now", lineterm="")
    )
    if not lines:
        return f"{name} is as it was: nothing has changed."
    more = [f"... and {len(lines) - most} more lines"] if len(lines) > most else []
    return "\n".join([f"{name} is changed:", *lines[:most], *more])


def numbered(text: str, first: int, last: int) -> str:
    """Lines of a text with their numbers, both ends included, from 1."""
    lines = text.splitlines()
    if not 1 <= first <= last:
        raise ActionError(f"lines {first} to {last}: expected 1 or more, and the last not before the first")
    if first > len(lines):
        raise ActionError(f"there are {len(lines)} lines")
    shown = [f"{number:>5}  {line}" for number, line in enumerate(lines[first - 1 : last], first)]
    return "\n".join([*shown, f"({len(lines)} lines in all)"])


def clipped(text: str, chars: int) -> str:
    """A text's beginning and end."""
    if len(text) <= chars:
        return text
    return f"{text[: chars // 2]}\n[... {len(text) - chars:,} characters are left out ...]\n{text[-chars // 2 :]}"


def _text(path: Path) -> str:
    """For showing differences: empty for what is no text, or long."""
    if not path.is_file() or path.stat().st_size > MOST_TEXT // 8:
        return ""
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode(errors="replace")


def _size(path: Path) -> str:
    try:
        return f"{path.stat().st_size:,} bytes"
    except OSError:
        return "(a link that leads nowhere)"
