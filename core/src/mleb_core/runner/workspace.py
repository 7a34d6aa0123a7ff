"""The place on disk that an agent works in, and the environment that it gets."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from mleb_core.agent import AgentPaths
from mleb_core.errors import NotPreparedError
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, RunKey

__all__ = [
    "COPIED_BYTES",
    "COPIED_FILES",
    "agent_paths",
    "environment",
    "give_data",
    "make_temporary",
    "make_workspace",
    "put_files",
    "remove_temporary",
]

COPIED_BYTES = 8 * 1024**2
"""Public data up to this size is copied for each agent, so that no agent can change it; larger data is linked."""
COPIED_FILES = 200
"""The same for the number of files and directories."""

_PASSED = ("PATH", "LANG", "TZ")
_SOCKET_ROOM = 60


def agent_paths(layout: RunLayout) -> AgentPaths:
    """Where things are for an agent that runs on this machine."""
    return AgentPaths(
        home=PurePosixPath(layout.work_home),
        data=PurePosixPath(layout.work_data),
        submission=PurePosixPath(layout.work_submission),
        code=PurePosixPath(layout.work_code),
        logs=PurePosixPath(layout.work_logs),
        instructions=PurePosixPath(layout.work_instructions),
    )


def make_workspace(layout: RunLayout, public: Path, description: str, instructions: str) -> None:
    """Make an agent's home with data, instructions and places for what it leaves; `layout.work` is there, empty.

    Raises:
        NotPreparedError: the public data is not there.
        OSError: something cannot be made.
    """
    for path in (layout.work_home, layout.work_tmp):
        path.mkdir(mode=0o700)
    for path in (layout.work_submission, layout.work_code, layout.work_logs):
        path.mkdir()
    # Paths that are not UTF-8 stand in it byte for byte.
    layout.work_instructions.write_text(instructions, encoding="utf-8", errors="surrogateescape")
    give_data(public, layout.work_data, description)


def give_data(public: Path, target: Path, description: str) -> None:
    """Give an agent the public data, with a description.md of its own.

    Directories are made anew and files stand in them as regular files, so that whatever walks the tree, such as
    `find -type f`, finds all of it. Small data is copied. Large data is linked: hard, or, on another file system,
    symbolically. An agent that writes into a linked file in place changes the original.

    Raises:
        NotPreparedError: the public data is not there.
        OSError: something cannot be made.
    """
    public = public.resolve()
    if not public.is_dir():
        raise NotPreparedError(f"{public} is not there; run `mleb prepare` for the competition")
    give = _copy if _is_small(public) else _link
    target.mkdir()
    for relative, source, is_directory in _walk(str(public)):
        if is_directory:
            (target / relative).mkdir()
        elif relative != "description.md":
            give(source, f"{target}/{relative}")
    (target / "description.md").write_text(description, encoding="utf-8")


def put_files(home: Path, files: Mapping[str, bytes]) -> str | None:
    """Put a scaffold's own files into an agent's fresh home.

    Returns:
        What is wrong with one of them, in one line, or None.

    Raises:
        OSError: one cannot be written.
    """
    for name, content in files.items():
        relative = PurePosixPath(name)
        if not relative.parts or relative.is_absolute() or ".." in relative.parts or "\0" in name:
            return f"the scaffold puts a file outside of the agent's home: {name!r}"
        path = home / relative
        if relative.parts[0] == "data" or path.exists():
            return f"the scaffold puts a file where there is one already: {name!r}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (FileExistsError, NotADirectoryError):
            return f"the scaffold puts a file where there is one already: {name!r}"
    return None


def make_temporary(layout: RunLayout) -> Path:
    """The TMPDIR of an agent.

    Unix sockets have room for about 100 characters of path, and programs put them there; so a long way is
    shortened by a link in the machine's own directory for temporary files. Its name follows from the run's
    directory, so that a later harness finds it.

    Raises:
        OSError: no link can be made.
    """
    link = _short_way(layout)
    if link == layout.work_tmp:
        return link
    remove_temporary(layout)
    try:
        link.symlink_to(layout.work_tmp)
    except FileExistsError:
        return layout.work_tmp  # somebody else's; the long way does for all but sockets
    return link


def remove_temporary(layout: RunLayout) -> None:
    """Remove the link that `make_temporary` made, if there is one, and nothing else."""
    link = _short_way(layout)
    with contextlib.suppress(FileNotFoundError):
        if link.is_symlink() and link.readlink() == layout.work_tmp:
            link.unlink()


def environment(
    *, key: RunKey, run_id: str, paths: AgentPaths, tmp: Path, limits: Limits, further: tuple[Mapping[str, str], ...]
) -> dict[str, str]:
    """The whole environment of an agent: of the harness's own nothing but PATH, language and time zone.

    Args:
        key: which run.
        run_id: marks the run's processes.
        paths: where things are.
        tmp: TMPDIR.
        limits: what the agent is told of.
        further: more variables; later ones win, and win over all but MLEB_RUN_ID.
    """
    passed = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith("LC_")}
    own = {
        "HOME": str(paths.home),
        "TMPDIR": str(tmp),
        "COMPETITION_ID": key.competition.partition("@")[0],
        "MLEB_SEED": str(key.seed),
        "MLEB_DATA": str(paths.data),
        "MLEB_SUBMISSION": str(paths.submission),
        "MLEB_CODE": str(paths.code),
        "MLEB_LOGS": str(paths.logs),
        "MLEB_INSTRUCTIONS": str(paths.instructions),
        "TIME_LIMIT_SECS": f"{limits.time_s:.15g}",
    }
    if limits.steps is not None:
        own["STEP_LIMIT"] = str(limits.steps)
    if limits.gpus == 0:
        own["CUDA_VISIBLE_DEVICES"] = ""
    merged = passed | own
    for more in further:
        merged |= more
    # This one finds the run's processes again; an agent's plugin must not lose it.
    return merged | {"MLEB_RUN_ID": run_id}


def _short_way(layout: RunLayout) -> Path:
    way = os.fsencode(layout.work_tmp)
    if len(way) <= _SOCKET_ROOM:
        return layout.work_tmp
    return Path(tempfile.gettempdir()) / f"mleb-{hashlib.sha256(way).hexdigest()[:12]}"


def _walk(root: str, prefix: str = "") -> Iterator[tuple[str, str, bool]]:
    """Everything beneath `root` as relative path, path, whether a directory; a directory before its content."""
    with os.scandir(root) as entries:
        for entry in entries:
            relative, is_directory = f"{prefix}{entry.name}", entry.is_dir()
            yield relative, entry.path, is_directory
            if is_directory:
                yield from _walk(entry.path, f"{relative}/")


def _is_small(root: Path) -> bool:
    size = 0
    for files, (_, path, is_directory) in enumerate(_walk(str(root)), 1):
        size += 0 if is_directory else Path(path).stat().st_size
        if size > COPIED_BYTES or files > COPIED_FILES:
            return False
    return True


def _copy(source: str, destination: str) -> None:
    shutil.copyfile(source, destination)


def _link(source: str, destination: str) -> None:
    try:
        os.link(os.path.realpath(source), destination)
    except OSError:  # another file system, too many links, somebody else's file
        Path(destination).symlink_to(os.path.realpath(source))
