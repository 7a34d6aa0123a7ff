"""What dead harnesses and removed run groups have left on the engine, and its removal.

Every object that mleb makes has the labels of labels.py. One is left over when nobody will come back for it:

    its group's directory is gone; or, while no harness is at work on the group,
    its run has ended or been cancelled, or its run's directory is gone.

A run that can be resumed keeps its container, running or not, unless it is asked for. Nothing is touched of a group
that a harness holds, and nothing that carries another host's mark (an engine may serve several).
"""

import contextlib
import fcntl
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.errors import SandboxError
from mleb_core.layout import GroupLayout
from mleb_core.run import RunStatus
from mleb_core.runner.docker.client import telling
from mleb_core.runner.docker.labels import GROUP, HOST, RUN, host_identity, run_label

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["Leftover", "find_objects", "remove"]

KINDS = ("container", "network", "volume")
"""In the order of removal."""
OVER = {RunStatus.FINISHED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED}


@dataclass(frozen=True)
class Leftover:
    """An object of mleb's on the engine."""

    kind: str
    """One of KINDS."""
    id: str
    """What the engine calls it by."""
    name: str
    """For people."""
    group: str
    """Absolute directory of its run group."""
    run: str | None
    """Directory of its run; None where that is not known any more."""
    size_bytes: int
    """What its removal frees."""
    remove: bool
    """Whether nobody will come back for it."""
    why: str
    """Why it is removed or kept, in a few words."""


def find_objects(
    client: "DockerClient", *, runs: Path | None = None, interrupted: bool = False, any_host: bool = False
) -> list[Leftover]:
    """Every object of mleb's, and whether it is left over.

    Args:
        client: the engine.
        runs: only those of groups in this directory or beneath it.
        interrupted: those of runs that could be resumed count as left over too.
        any_host: those with another host's mark as well; this host has another one since it was last started.

    Raises:
        SandboxError: the engine does not answer as it should.
    """
    judged: dict[tuple[str, str], tuple[str | None, bool, str]] = {}
    found = []
    for kind, id, name, labels, size in _objects(client):
        group = labels[GROUP]
        if runs is not None and not Path(group).is_relative_to(runs.absolute()):
            continue
        key = (group, labels.get(RUN, ""))
        if labels.get(HOST) != host_identity() and not any_host:
            verdict: tuple[str | None, bool, str] = (
                None,
                False,
                "of another host, or of before this one was started anew",
            )
        else:
            if key not in judged:
                judged[key] = _judge(GroupLayout(Path(group)), key[1], interrupted)
            verdict = judged[key]
        found.append(Leftover(kind, id, name, group, verdict[0], size, verdict[1], verdict[2]))
    return sorted(found, key=lambda item: (KINDS.index(item.kind), item.group, item.run or "", item.name))


def remove(client: "DockerClient", leftovers: Iterable[Leftover]) -> tuple[list[Leftover], list[str]]:
    """Remove those that are left over; no harness can take up their group meanwhile.

    A container that is running is killed.

    Args:
        client: the engine.
        leftovers: as `find_objects` gives them.

    Returns:
        Those that are gone, and a line for each that is not.
    """
    gone, failures = [], []
    for item in sorted(leftovers, key=lambda item: KINDS.index(item.kind)):
        if not item.remove:
            continue
        try:
            with _lock(GroupLayout(Path(item.group))) as free:
                if not free:
                    failures.append(f"{item.kind} {item.name} stays: a harness has begun to work on {item.group}")
                    continue
                with telling(f"{item.kind} {item.name} cannot be removed"):
                    _remove(client, item)
        except SandboxError as error:
            failures.append(str(error))
        else:
            gone.append(item)
    return gone, failures


def _objects(client: "DockerClient") -> Iterator[tuple[str, str, str, dict[str, str], int]]:
    """Kind, id, name, labels and size of all that has the label of a group."""
    wanted = {"label": GROUP}
    with telling("mleb's containers, networks and volumes cannot be listed"):
        containers = client.api.containers(all=True, size=True, filters=wanted)
        networks = client.api.networks(filters=wanted)
        volumes = client.api.volumes(filters=wanted).get("Volumes") or []
        sizes = _volume_sizes(client) if volumes else {}
    for container in containers:
        names = container.get("Names") or [container["Id"][:12]]
        yield "container", container["Id"], names[0].lstrip("/"), container["Labels"], int(container.get("SizeRw") or 0)
    for network in networks:
        yield "network", network["Id"], network["Name"], network["Labels"], 0
    for volume in volumes:
        yield "volume", volume["Name"], volume["Name"], volume["Labels"], sizes.get(volume["Name"], 0)


def _volume_sizes(client: "DockerClient") -> dict[str, int]:
    listed: list[dict[str, Any]] = client.api.df().get("Volumes") or []
    return {volume["Name"]: max(0, int((volume.get("UsageData") or {}).get("Size", 0))) for volume in listed}


def _remove(client: "DockerClient", item: Leftover) -> None:
    import docker.errors

    with contextlib.suppress(docker.errors.NotFound):  # gone meanwhile
        if item.kind == "container":
            client.api.remove_container(item.id, v=True, force=True)
        elif item.kind == "network":
            client.api.remove_network(item.id)
        else:
            client.api.remove_volume(item.id)


def _judge(group: GroupLayout, run: str, interrupted: bool) -> tuple[str | None, bool, str]:
    """The run's directory, whether nobody will come back for what it has, and why."""
    try:
        group.root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None, True, "its group's directory is gone"
    except OSError as error:
        return None, False, f"{group.root}: {error.strerror}"
    with _lock(group) as free:
        if not free:
            return None, False, "a harness is at work on its group"
        layout = next((layout for layout in group.runs() if run_label(layout.root) == run), None)
        if layout is None:
            return None, True, "its run's directory is gone"
        try:
            status = RunStatus(json.loads(layout.run.read_bytes())["status"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return str(layout.root), False, f"{layout.run} cannot be read: {error}"
    if status in OVER:
        return str(layout.root), True, f"its run has ended ({status})"
    if interrupted:
        return str(layout.root), True, "its run was interrupted, and --interrupted asks for those"
    return str(layout.root), False, f"its run can be resumed: mleb eval --resume {group.root}"


@contextlib.contextmanager
def _lock(group: GroupLayout) -> Iterator[bool]:
    """Keep harnesses off a group for a moment; False: one is at work on it. Writes nothing."""
    try:
        stream = group.lock.open("rb")
    except OSError:  # no harness has been there, or the group is gone
        yield True
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
