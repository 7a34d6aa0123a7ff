"""The place on the host's disk that a container works in.

    home/agent       /home/agent, the agent's HOME      mleb     /mleb, read-only: helper.py, sockets
    home/submission  /home/submission                   output   /mleb/output: what the agent printed
    home/code, logs  /home/code, /home/logs             home/data   /home/data, where that needs links

An agent reads the host's paths of its mounts in /proc/self/mountinfo, and a run's own directory is named after the
competition. So the place stands elsewhere in the group, under a name that says nothing; the run's directory has but a
note of where it is (work/processes.json). The competition's public data is not copied: it is mounted as it lies,
read-only, or, where its path must not tell either, as a tree of hard links in the place.
"""

import contextlib
import json
import os
import secrets
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath

from mleb_core.agent import AgentPaths
from mleb_core.errors import NotPreparedError, RunnerError
from mleb_core.instructions import fill_in
from mleb_core.layout import RunLayout, write_json
from mleb_core.runner.docker.labels import run_label
from mleb_core.runner.protocol import Channel, Job
from mleb_core.runner.remove import remove_tree

__all__ = [
    "PATHS",
    "Record",
    "User",
    "box_of",
    "connect_channel",
    "data_of",
    "make_place",
    "new_place",
    "place_of",
    "read_record",
    "remove_place",
]

PATHS = AgentPaths(
    home=PurePosixPath("/home/agent"),
    data=PurePosixPath("/home/data"),
    submission=PurePosixPath("/home/submission"),
    code=PurePosixPath("/home/code"),
    logs=PurePosixPath("/home/logs"),
    instructions=PurePosixPath("/home/instructions.txt"),
    validate=PurePosixPath("/home/validate_submission.sh"),
)
"""Where things are for every agent in a container."""
GATEWAY, PROXY, HELPER, OUTPUT, VALIDATE = "gateway.sock", "proxy.sock", "helper.py", "output", "validate_submission.sh"
_READABLE, _ENTERABLE = 0o444, 0o755


@dataclass(frozen=True)
class User:
    """Whom the agent's processes belong to."""

    uid: int
    gid: int

    @classmethod
    def here(cls) -> "User":
        """1000 where the harness is root, else the harness's own."""
        return cls(1000, 1000) if os.geteuid() == 0 else cls(os.geteuid(), os.getegid())

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


@dataclass(frozen=True)
class Record:
    """What a later harness needs to take the run up again."""

    log_start: int
    """Size of agent.log when this attempt started."""
    log_limit: int
    """Bytes of output that are kept."""
    box: str
    """The directory that the container has as /mleb."""
    place: str
    """The place: a directory laid out as a run's, of which the parts under `work` are used."""

    def write(self, layout: RunLayout) -> None:
        """Write it beside the run's files."""
        write_json(layout.work_record, asdict(self), durable=False)


def read_record(layout: RunLayout) -> Record | None:
    """What an earlier harness wrote, or None."""
    try:
        found = json.loads(layout.work_record.read_bytes())
        numbers = int(found["log_start"]), int(found["log_limit"])
        # Without a place: of a version that had it in the run's own directory.
        return Record(*numbers, str(found["box"]), str(found.get("place", layout.root)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def place_of(layout: RunLayout, record: Record) -> RunLayout:
    """Where the place of a run is now: its group may have been moved since the record was written."""
    written = Path(record.place)
    return RunLayout(layout.group.places / written.name if written.parent.name == layout.group.places.name else written)


def new_place(layout: RunLayout) -> RunLayout:
    """Where the place of a run is to stand; nothing is made."""
    return RunLayout(layout.group.places / secrets.token_hex(8))


def box_of(layout: RunLayout, place: RunLayout, channel: Channel | None) -> Path:
    """The directory that becomes /mleb.

    Sockets are hard links in it, so that a later harness can put its own in their place while the container runs. That
    takes one file system, so the directory stands beside the sockets where the run's own is on another.
    """
    if channel is None or channel.socket.parent.stat().st_dev == layout.work.stat().st_dev:
        return place.work_mleb
    return channel.socket.with_name(f"mleb-{place.root.name}")


def make_place(job: Job, place: RunLayout, user: User, box: Path, python: str) -> None:
    """Make all directories and files but the scaffold's.

    Raises:
        NotPreparedError: the public data is not there, or the agent's user could not read it.
        RunnerError: links to the public data are needed and cannot be made.
        OSError: something cannot be made.
    """
    _check_data(job.public, user)
    _make_root(place)
    place.work_home.mkdir()
    for path in (place.work_agent, place.work_submission, place.work_code, place.work_logs):
        path.mkdir()
        os.chown(path, user.uid, user.gid)
    place.work_output.touch(0o600)
    os.chown(place.work_output, user.uid, user.gid)
    _write(place.work_description, job.description)
    _write(place.work_instructions, fill_in(job.instructions, PATHS))
    if job.obfuscated:
        _link_data(job.public.resolve(), place.work_data)
    remove_tree(box)  # beside the sockets a dead harness could have left one
    box.mkdir()
    _write(box / HELPER, files(__package__).joinpath(HELPER).read_text("utf-8"))
    _write(box / VALIDATE, f'#!/bin/sh\nexec {python} -I -S -E /mleb/{HELPER} validate "$@"\n', 0o555)
    _write(box / OUTPUT, "")  # the mount point
    box.chmod(_ENTERABLE)
    connect_channel(box, job.channel)


def connect_channel(box: Path, channel: Channel | None) -> None:
    """Put the sockets into the box, in place of those of a dead harness.

    Raises:
        OSError: a socket is not there, or cannot be linked.
    """
    wanted = {} if channel is None else {GATEWAY: channel.socket, PROXY: channel.proxy}
    for name, socket in wanted.items():
        if socket is not None:
            new = box / f".{secrets.token_hex(8)}"
            os.link(socket, new)
            new.replace(box / name)
            # Two names of the same socket are left as they are by a rename.
            new.unlink(missing_ok=True)


def data_of(job: Job, place: RunLayout) -> Path:
    """What becomes /home/data."""
    return place.work_data if job.obfuscated else job.public.resolve()


def give_home(place: RunLayout, user: User) -> None:
    """Make the scaffold's files in the agent's home the agent's; nothing of it runs yet."""
    for folder, _, names in os.walk(place.work_agent):
        os.chown(folder, user.uid, user.gid)
        for name in names:
            os.chown(Path(folder, name), user.uid, user.gid)


def remove_place(layout: RunLayout) -> None:
    """Remove the place, and the box where that stands elsewhere.

    Raises:
        OSError: something cannot be removed.
    """
    record = read_record(layout)
    if record is not None and (root := place_of(layout, record).root).parent == layout.group.places:
        # Where the place stands as it was written as well, the group was copied: the box is the other one's.
        ours = Path(record.place) == root or not Path(record.place).exists()
        if ours and Path(record.box).name == f"mleb-{root.name}":
            remove_tree(Path(record.box))
        remove_tree(root)
        with contextlib.suppress(OSError):  # other runs have theirs there
            root.parent.rmdir()
    elif record is not None and Path(record.box).name == f"mleb-{run_label(layout.root)[:16]}":
        remove_tree(Path(record.box))  # of a version that named boxes after runs
    remove_tree(layout.work)


def _check_data(public: Path, user: User) -> None:
    if not public.is_dir():
        raise NotPreparedError(f"{public} is not there; run `mleb prepare` for the competition")
    description = public / "description.md"
    if not description.is_file():
        # The agent's own description is mounted over it: a read-only directory takes no further name.
        raise NotPreparedError(f"{description} is not there; run `mleb prepare --force` for the competition")
    for path, needed in ((public, 5), (description, 4)):
        status = path.stat()
        shift = 6 if status.st_uid == user.uid else 3 if status.st_gid == user.gid else 0
        if (status.st_mode >> shift) & needed != needed:
            raise NotPreparedError(f"{path} cannot be read by the agent's user; run `chmod -R a+rX {public}`")


def _make_root(place: RunLayout) -> None:
    while True:
        place.root.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            place.root.mkdir(mode=0o700)
            break
        except FileNotFoundError:  # the last run but this one has ended just now, and removed what it left empty
            continue
    place.work.mkdir(mode=0o700)


def _link_data(public: Path, target: Path) -> None:
    """Make a tree of directories with hard links to all files of the public data.

    Raises:
        RunnerError: they cannot be made, as on another file system.
        OSError: a directory cannot be made.
    """
    target.mkdir()
    target.chmod(_ENTERABLE)
    with os.scandir(public) as entries:
        for entry in entries:
            if entry.is_dir():
                _link_data(Path(entry.path), target / entry.name)
                continue
            try:
                os.link(os.path.realpath(entry.path), target / entry.name)
            except OSError as error:
                raise RunnerError(
                    f"an obfuscated run needs hard links to {entry.path} ({error.strerror}); "
                    f"keep runs and data on one file system, and the data your own"
                ) from error


def _write(path: Path, text: str, mode: int = _READABLE) -> None:
    # Paths that are not UTF-8 stand in it byte for byte.
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    path.chmod(mode)
