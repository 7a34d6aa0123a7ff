"""A container as the engine tells it; patient with an engine that is being restarted."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mleb_core.errors import SandboxError
from mleb_core.layout import RunLayout
from mleb_core.runner.docker import labels
from mleb_core.runner.docker.client import PATIENCE_S, telling

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["State", "containers_of", "inspect", "kill", "last_line", "remove", "wait_until_ended"]

LIVE = ("running", "paused", "restarting")
_PAUSE_S = 0.25
_END_S = 60.0
"""How long a container that was killed may take to end."""


@dataclass(frozen=True)
class State:
    """A container at one moment."""

    running: bool
    """Whether it runs."""
    pid: int
    """Its first process, as the engine's machine numbers it; 0 once it has ended."""
    exit_code: int
    """Of its first process."""
    out_of_memory: bool
    """Whether the kernel killed something in it for memory; known once it has ended."""
    started: float
    """Seconds since 1970 by the engine's clock."""
    finished: float
    """The same; 0 while it runs."""
    error: str
    """Why it could not be started."""

    @property
    def runtime_s(self) -> float:
        """From start to end, or to now."""
        return max(0.0, (time.time() if self.running else self.finished) - self.started)


def containers_of(client: "DockerClient", layout: RunLayout) -> list[dict[str, Any]]:
    """All containers of a run, as the engine lists them (Id, State, Labels, ...), the newest first.

    Raises:
        SandboxError: the engine cannot be asked.
    """
    with telling("containers of former attempts cannot be looked for"):
        wanted = f"{labels.RUN}={labels.run_label(layout.root)}"
        found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": wanted})
    return found


def inspect(client: "DockerClient", container: str) -> State:
    """The state of a container; an engine that does not answer is waited for.

    Raises:
        SandboxError: it does not come back, or the container is gone.
    """
    import docker.errors

    ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            with telling("the container cannot be watched"):
                return _state(client.api.inspect_container(container)["State"])
        except SandboxError as error:
            if isinstance(error.__cause__, docker.errors.NotFound):
                raise SandboxError("the container was removed while it ran") from error
            if time.monotonic() > ends:
                raise
            time.sleep(_PAUSE_S)


def wait_until_ended(client: "DockerClient", container: str) -> State:
    """The state of a container whose processes have ended, or are about to.

    Raises:
        SandboxError: it does not end, or as `inspect`.
    """
    ends = time.monotonic() + _END_S
    pause = 0.002
    while (state := inspect(client, container)).running:
        if time.monotonic() > ends:
            raise SandboxError(f"the container does not end: {container[:12]}")
        time.sleep(pause)
        pause = min(2 * pause, _PAUSE_S)
    return state


def kill(client: "DockerClient", container: str, signal: str) -> None:
    """Send a signal to a container's first process; one that has ended is left alone.

    Raises:
        SandboxError: the engine cannot do it.
    """
    import docker.errors

    try:
        with telling("the container cannot be ended"):
            client.api.kill(container, signal)
    except SandboxError as error:
        cause = error.__cause__
        gone = isinstance(cause, docker.errors.APIError) and cause.status_code in (404, 409)
        if not gone and inspect(client, container).running:
            with telling("the container cannot be ended"):  # the engine was away, and is back
                client.api.kill(container, signal)


def remove(client: "DockerClient", container: str) -> None:
    """Remove a container, whatever its state, with what belongs to it; one that is gone is left alone.

    Raises:
        SandboxError: it cannot be removed.
    """
    import docker.errors

    ends = time.monotonic() + _END_S
    while True:
        try:
            with telling("the container cannot be removed"):
                client.api.remove_container(container, v=True, force=True)
                return
        except SandboxError as error:
            cause = error.__cause__
            if isinstance(cause, docker.errors.NotFound):
                return
            # 409: its removal is under way already; 500: something in it is still busy.
            again = isinstance(cause, docker.errors.APIError) and cause.status_code in (409, 500)
            if not again or time.monotonic() > ends:
                raise
            time.sleep(_PAUSE_S)


def last_line(client: "DockerClient", container: str) -> str:
    """The last line that the container's first process wrote itself; empty where there is none.

    Raises:
        SandboxError: the engine cannot be asked.
    """
    with telling("the container's own log cannot be read"):
        said: bytes = client.api.logs(container, tail=1)
    return said.decode(errors="replace").strip().rpartition("\n")[2]


def _state(found: dict[str, Any]) -> State:
    return State(
        running=found.get("Status") in LIVE,
        pid=int(found.get("Pid") or 0),
        exit_code=int(found.get("ExitCode") or 0),
        out_of_memory=bool(found.get("OOMKilled")),
        started=_seconds(found.get("StartedAt") or ""),
        finished=_seconds(found.get("FinishedAt") or ""),
        error=" ".join(str(found.get("Error") or "").split()),
    )


def _seconds(text: str) -> float:
    """Seconds since 1970 of a time as the engine writes it, 2026-01-31T12:00:00.123456789Z; 0 for none."""
    match = re.match(r"(\d+-\d+-\d+T\d+:\d+:\d+)(\.\d+)?(Z|[+-]\d+:\d+)$", text)
    if match is None or match[1].startswith("0001"):
        return 0.0
    zone = "+00:00" if match[3] == "Z" else match[3]
    return datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp() + float(match[2] or 0)
