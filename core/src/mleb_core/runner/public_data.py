"""The public data of a competition in an agent's home: made there, and kept for the next run of the group.

Making a link for each of 1,800 files takes 35 ms, and removing them 10 ms. So a run that has ended leaves its tree of
links to the next one, which takes it by a rename. That is safe because nothing of it is taken on trust: a tree is used
again only if each of its entries is the very file (by inode) or a real directory that the public data has there, with
nothing missing and nothing added, which is looked up when it is taken, in a place that is no former agent's any more.
Reading two directories costs 3 ms for 1,800 files. `stock` lays such trees before a group's first runs need them.
"""

import contextlib
import os
import secrets
import shutil
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from mleb_core.errors import NotPreparedError
from mleb_core.runner.remove import open_directory, remove_tree

__all__ = ["COPIED_BYTES", "COPIED_FILES", "give_data", "keep_data", "lay_spare"]

COPIED_BYTES = 8 * 1024**2
"""Public data up to this size is copied for each agent, so that no agent can change it; larger data is linked."""
COPIED_FILES = 200
"""The same for the number of files and directories."""

_OWN = "description.md"
"""The file at the top that each agent gets for itself."""
_BRINGING = threading.Lock()
_COARSE_NS = 2_000_000_000


@dataclass
class Folder:
    """What is in a directory."""

    path: str
    """Where it is; the top's links are resolved."""
    files: dict[str, int] = field(default_factory=dict)
    """Inodes by name; of a link's target, where it is one."""
    folders: dict[str, "Folder"] = field(default_factory=dict)
    """Directories by name."""
    changed_ns: int | None = None
    """When the directory last changed (ctime, which nobody sets back); None: that does not tell whether it did."""


_LISTED: dict[str, Folder] = {}
"""The tree that was listed last, by the path of its top."""


def give_data(
    public: Path, target: Path, description: str, *, spare: Path | None = None, neutral: bool = False
) -> None:
    """Give an agent the public data, with a description.md of its own.

    Directories are made anew and files stand in them as regular files, so that whatever walks the tree, such as
    `find -type f`, finds all of it. Small data is copied. Large data is linked: hard, or, on another file system,
    symbolically. An agent that writes into a linked file in place changes the original.

    Args:
        public: the public data.
        target: made; its parent is there, and nobody else's to write.
        description: content of description.md.
        spare: where `keep_data` may have left a tree; None: nowhere.
        neutral: nothing may lead to where the data lies, whose path names the competition: instead of linked
            symbolically, it is copied, once for all runs that share `spare`.

    Raises:
        NotPreparedError: the public data is not there, or vanishes meanwhile.
        OSError: something cannot be made.
    """
    public = public.resolve()
    if not public.is_dir():
        raise NotPreparedError(f"{public} is not there; run `mleb prepare` for the competition")
    try:
        source = _known(str(public))
        small = _is_small(str(public))
        if not small and neutral and spare is not None and not _can_link(source, target.parent):
            source = _brought(source, spare)
        if small or spare is None or not _take(source, target, spare):
            _lay_out(source, target, copied=small, neutral=neutral)
    except FileNotFoundError as error:
        if not Path(os.fsdecode(error.filename or "")).is_relative_to(public):
            raise
        raise NotPreparedError(
            f"{error.filename} vanished while it was given to an agent; run `mleb prepare` for the competition"
        ) from error
    (target / _OWN).write_text(description, encoding="utf-8")


def keep_data(public: Path, root: Path, relative: Path, spare: Path) -> None:
    """Leave the data of a run that is over to the next one, which looks whether it is as it was.

    Args:
        public: as for `give_data`.
        root: a directory that is no agent's to replace, on the file system of `spare`.
        relative: the agent's data below it. No process that could change it is left; links on the way are not followed.
        spare: made if missing.
    """
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        if _is_small(str(public.resolve())):
            return
        parent = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, parent)
        for part in relative.parent.parts:
            parent = open_directory(part, parent)
            stack.callback(os.close, parent)
        if stat.S_ISDIR(os.stat(relative.name, dir_fd=parent, follow_symlinks=False).st_mode):
            spare.mkdir(parents=True, exist_ok=True)
            os.rename(relative.name, spare / secrets.token_hex(8), src_dir_fd=parent)


def lay_spare(public: Path, spare: Path, *, neutral: bool = False) -> bool:
    """Lay a tree for a run that is to come, as if a run had left it; nothing for small data, which is copied.

    Args:
        public: as for `give_data`.
        spare: as for `give_data`; made if missing.
        neutral: as for `give_data`.

    Returns:
        Whether there is one more.

    Raises:
        OSError: something is missing or cannot be made.
    """
    public = public.resolve()
    if _is_small(str(public)):
        return False
    source = _known(str(public))
    spare.mkdir(parents=True, exist_ok=True)
    if neutral and not _can_link(source, spare):
        source = _brought(source, spare)
    _lay_whole(source, spare / secrets.token_hex(8), copied=False, neutral=neutral)
    return True


def _lay_whole(source: Folder, target: Path, *, copied: bool, neutral: bool = False) -> None:
    """`_lay_out`, and only a whole tree is ever seen at `target`."""
    draft = target.parent.with_name(f".{secrets.token_hex(8)}")
    try:
        _lay_out(source, draft, copied=copied, neutral=neutral)
        draft.rename(target)
    except BaseException:
        remove_tree(draft)
        raise


def _brought(source: Folder, spare: Path) -> Folder:
    """A copy of data on the file system of the runs, from which it can be linked; made once, by whoever comes first."""
    copy = spare.with_name(f"{spare.name}.copy")
    with _BRINGING:
        if not copy.is_dir():
            spare.parent.mkdir(parents=True, exist_ok=True)
            _lay_whole(source, copy, copied=True)
    return _listed(str(copy))


def _can_link(source: Folder, folder: Path) -> bool:
    """Whether the first file of a tree can be hard linked into a directory."""
    while not source.files and source.folders:
        source = next(iter(source.folders.values()))
    trial = folder / f".{secrets.token_hex(8)}"
    for name in source.files:
        try:
            os.link(f"{source.path}/{name}", trial)
        except FileNotFoundError:
            raise
        except OSError:
            return False
        trial.unlink()
        break
    return True


def _take(source: Folder, target: Path, spare: Path) -> bool:
    """Put a spare tree in place, if there is one that is still whole."""
    try:
        trees = list(spare.iterdir())
    except OSError:
        return False
    for tree in trees:
        try:
            tree.rename(target)
        except OSError:  # another run was faster
            continue
        if _is_same(source, str(target)):
            return True
        remove_tree(target)
    return False


def _is_same(source: Folder, name: str, dir_fd: int | None = None) -> bool:
    """Whether a directory holds exactly the files and directories of `source`; follows no links.

    A description.md at the top is removed first: that one is the agent's own.
    """
    try:
        fd = open_directory(name, dir_fd)
    except OSError:
        return False
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_OWN, dir_fd=fd)
        return _holds(source, fd)
    except OSError:
        return False
    finally:
        os.close(fd)


def _holds(source: Folder, fd: int) -> bool:
    os.fchmod(fd, 0o755)
    files, folders = source.files, source.folders
    with os.scandir(fd) as found:
        entries = list(found)
    inner = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
    if inner != folders.keys() or len(entries) != len(files) + len(folders):
        return False
    if any(files.get(entry.name) != entry.inode() for entry in entries if entry.name not in inner):
        return False
    for name, folder in folders.items():
        below = open_directory(name, fd)
        try:
            if not _holds(folder, below):
                return False
        finally:
            os.close(below)
    return True


def _known(path: str) -> Folder:
    """The tree of public data but its description.md, as listed before where no directory has changed since."""
    folder = _LISTED.get(path)
    if folder is None or not _is_unchanged(folder):
        folder = _listed(path)
        folder.files.pop(_OWN, None)
        _LISTED.clear()  # one is enough: runs of a competition follow each other
        _LISTED[path] = folder
    return folder


def _is_unchanged(folder: Folder) -> bool:
    if folder.changed_ns is None or Path(folder.path).lstat().st_ctime_ns != folder.changed_ns:
        return False
    return all(_is_unchanged(inner) for inner in folder.folders.values())


def _listed(path: str) -> Folder:
    """A directory's tree; links are followed."""
    before, plain = Path(path).lstat(), True
    folder = Folder(path)
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_symlink():
                plain = False  # what it leads to can change, and the directory not
            if entry.is_dir():
                folder.folders[entry.name] = _listed(entry.path)
            else:
                folder.files[entry.name] = entry.stat().st_ino if entry.is_symlink() else entry.inode()
    # The clock of a file system is coarse: what changed just now could change once more within the same tick.
    if plain and time.time_ns() - before.st_ctime_ns > _COARSE_NS:
        folder.changed_ns = before.st_ctime_ns
    return folder


def _is_small(public: str) -> bool:
    """Whether public data, but for its description.md, is to be copied; looks no further than needed to know."""
    count, size, folders = 0, 0, [public]
    while folders:
        folder = folders.pop()
        files: list[os.DirEntry[str]] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if folder == public and entry.name == _OWN:
                    continue
                count += 1
                if count > COPIED_FILES:
                    return False
                if entry.is_dir():
                    folders.append(entry.path)
                else:
                    files.append(entry)
        size += sum(entry.stat().st_size for entry in files)  # only now: many files are told by their number alone
        if size > COPIED_BYTES:
            return False
    return True


def _lay_out(source: Folder, target: Path, *, copied: bool, neutral: bool = False) -> None:
    target.mkdir()
    if copied:
        for name in source.files:
            shutil.copyfile(f"{source.path}/{name}", f"{target}/{name}")
    else:
        _link(source, target, neutral=neutral)
    for name, folder in source.folders.items():
        _lay_out(folder, target / name, copied=copied, neutral=neutral)


def _link(source: Folder, target: Path, *, neutral: bool) -> None:
    # Relative to the two directories: looking up the whole way for each file takes longer than linking it.
    source_fd = os.open(source.path, os.O_RDONLY | os.O_DIRECTORY)
    target_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for name in source.files:
            try:
                os.link(name, name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
            except FileNotFoundError as error:
                raise FileNotFoundError(error.errno, error.strerror, f"{source.path}/{name}") from error
            except OSError:  # another file system, too many links, somebody else's file
                if neutral:
                    shutil.copyfile(f"{source.path}/{name}", f"{target}/{name}")
                else:
                    os.symlink(os.path.realpath(f"{source.path}/{name}"), name, dir_fd=target_fd)
    finally:
        os.close(source_fd)
        os.close(target_fd)
