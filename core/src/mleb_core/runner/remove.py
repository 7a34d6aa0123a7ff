"""Removal of directories that a program which one does not trust has filled."""

import itertools
import os
import secrets
from pathlib import Path

__all__ = ["open_directory", "remove_tree"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_directory(name: str | Path, dir_fd: int | None = None) -> int:
    """Open a directory, never through a link, and give its owner all rights where they are lacking.

    Raises:
        OSError: it is no directory, a link, or not ours.
    """
    try:
        return os.open(name, _DIRECTORY, dir_fd=dir_fd)
    except PermissionError:
        if not hasattr(os, "O_PATH"):
            raise
    # Linux cannot change the mode of a name without following links, but of what is held by a descriptor.
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(0o700)
        return os.open(name, _DIRECTORY, dir_fd=dir_fd)
    finally:
        os.close(handle)


def remove_tree(path: Path) -> None:
    """Remove whatever is there, if anything; follows no link, stands any depth and missing rights.

    Every directory found is first moved to the top, so that neither the depth of the tree nor the length of its
    paths matters.

    Raises:
        OSError: something cannot be removed.
    """
    try:
        path.unlink()
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # a directory: EISDIR on Linux, EPERM elsewhere
        pass
    top = open_directory(path)
    try:
        pending = ["."]
        # Names that nobody can have guessed, so that none is taken.
        free_names = (f".mleb-{token}-{number}" for token in [secrets.token_hex(8)] for number in itertools.count())
        while pending:
            here = pending.pop()
            fd = open_directory(here, top)
            try:
                _make_writable(fd)
                with os.scandir(fd) as entries:
                    listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
                for name, is_directory in listed:
                    if not is_directory:
                        os.unlink(name, dir_fd=fd)
                    elif here == ".":
                        pending.append(name)
                    else:
                        new_name = next(free_names)
                        _move_up(name, fd, top, new_name)
                        pending.append(new_name)
            finally:
                os.close(fd)
            if here != ".":
                os.rmdir(here, dir_fd=top)
    finally:
        os.close(top)
    path.rmdir()


def _make_writable(fd: int) -> None:
    mode = os.fstat(fd).st_mode
    if mode & 0o700 != 0o700:
        os.fchmod(fd, 0o700)


def _move_up(name: str, fd: int, top: int, new_name: str) -> None:
    # A directory that is moved is written to (its ".." changes), so it needs rights of its own first.
    sub = open_directory(name, fd)
    try:
        _make_writable(sub)
    finally:
        os.close(sub)
    os.rename(name, new_name, src_dir_fd=fd, dst_dir_fd=top)
