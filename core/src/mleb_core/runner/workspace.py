"""The place on disk that an agent works in, and the environment that it gets."""

import contextlib
import hashlib
import os
import re
import secrets
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mleb_core.agent import AgentPaths
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, RunKey
from mleb_core.runner.public_data import give_data
from mleb_core.runner.remove import remove_tree

__all__ = [
    "agent_paths",
    "environment",
    "make_place",
    "make_temporary",
    "make_workspace",
    "place_of",
    "put_checker",
    "put_files",
    "remove_place",
    "remove_temporary",
]

_PASSED = ("PATH", "LANG", "TZ")
_SOCKET_ROOM = 60
_PLACE = re.compile("[0-9a-f]{16}")


def agent_paths(layout: RunLayout) -> AgentPaths:
    """Where things are for an agent that runs on this machine."""
    return AgentPaths(
        home=PurePosixPath(layout.work_home),
        data=PurePosixPath(layout.work_data),
        submission=PurePosixPath(layout.work_submission),
        code=PurePosixPath(layout.work_code),
        logs=PurePosixPath(layout.work_logs),
        instructions=PurePosixPath(layout.work_instructions),
        validate=PurePosixPath(layout.work_validate),
    )


def make_place(layout: RunLayout, *, apart: bool) -> RunLayout:
    """Where an agent works: in the run's own directory, whose `work` is there, or in a place apart with a neutral path.

    Args:
        layout: the run's directory. Its path names the competition.
        apart: for agents that are not to be told which competition it is.

    Raises:
        OSError: it cannot be made.
    """
    if not apart:
        return layout
    place = RunLayout(layout.group.places / secrets.token_hex(8))
    while True:
        place.root.parent.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the last run but this one has just removed what it left empty
            place.root.mkdir(mode=0o700)
            place.work.mkdir(mode=0o700)
            return place


def place_of(layout: RunLayout, root: object) -> RunLayout:
    """A place that a record names. The agent could have written the record: only a place of the group is one.

    Raises:
        ValueError: it is none.
    """
    if root == str(layout.root):
        return layout
    if isinstance(root, str) and Path(root).parent == layout.group.places and _PLACE.fullmatch(Path(root).name):
        return RunLayout(Path(root))
    raise ValueError("not a place of this run")


def remove_place(layout: RunLayout, place: RunLayout) -> None:
    """Remove what `make_place` made and all that is in it, and the run's own `work`.

    Raises:
        OSError: something cannot be removed.
    """
    remove_temporary(place)
    if place != layout:
        remove_tree(place.root)
        with contextlib.suppress(OSError):  # other runs have theirs there
            place.root.parent.rmdir()
    remove_tree(layout.work)


def make_workspace(
    layout: RunLayout,
    public: Path,
    description: str,
    instructions: str,
    *,
    spare: Path | None = None,
    neutral: bool = False,
) -> None:
    """Make an agent's home with data, instructions and places for what it leaves; `layout.work` is there, empty.

    `spare` is where runs of the same competition leave data for one another, see `give_data`; `neutral` too.

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
    give_data(public, layout.work_data, description, spare=spare, neutral=neutral)


def put_checker(layout: RunLayout) -> None:
    """Put the script into an agent's home that asks the submission checker, at MLEB_CHECKER_URL, about a file.

    Raises:
        OSError: it cannot be written.
    """
    helper = Path(__file__).parent / "docker" / "helper.py"  # of the standard library alone
    command = shlex.join([sys.executable, "-I", "-S", "-E", str(helper), "validate"])
    layout.work_validate.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8", errors="surrogateescape")
    layout.work_validate.chmod(0o755)


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
