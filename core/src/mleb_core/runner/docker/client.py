"""The connection to the Docker engine, and its errors in words that help."""

import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mleb_core.errors import RunnerError, SandboxError
from mleb_core.runner.protocol import Stop

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["PATIENCE_S", "Engine", "connect", "telling"]

TIMEOUT_S = 120.0
"""How long one request to the engine may go without an answer."""
PATIENCE_S = 60.0
"""How long an engine that does not answer, such as one that is being restarted, is waited for."""
_PAUSE_S = 0.25
_POOL = 256


def connect() -> "DockerClient":
    """A new connection to the engine that $DOCKER_HOST names, else this machine's own; the caller closes it.

    Raises:
        RunnerError: no docker-py, no engine, no permission; one line with the command that helps.
    """
    try:
        import docker
    except ImportError:
        raise RunnerError("docker-py is not installed; run `pip install 'mleb-core[docker]'`") from None
    try:
        _probe(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
        return docker.from_env(timeout=int(TIMEOUT_S), max_pool_size=_POOL)
    except (docker.errors.DockerException, OSError, ValueError) as error:
        cause = _os_error(error)
        if cause is not None and cause.errno in (errno.EACCES, errno.EPERM):
            hint = "this user may not use the Docker engine; run `sudo usermod -aG docker $USER` and log in anew"
        elif cause is not None:
            hint = "no Docker engine answers; run `sudo systemctl start docker`, or set DOCKER_HOST"
        else:
            hint = f"the Docker engine cannot be used: {_one_line(error)}"
        raise RunnerError(hint) from error


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Turn whatever docker-py raises into SandboxError("WHAT: ..."), one line."""
    import docker.errors
    import requests
    import urllib3

    try:
        yield
    except docker.errors.APIError as error:
        said = error.explanation or error
        raise SandboxError(f"{what}: {_one_line(said)}") from error
    except requests.exceptions.Timeout as error:
        raise SandboxError(f"{what}: the Docker engine did not answer in {TIMEOUT_S:g} s") from error
    except (
        docker.errors.DockerException,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
    ) as error:
        cause = _os_error(error)
        raise SandboxError(f"{what}: the Docker engine is gone: {_one_line(cause or error)}") from error


class Engine:
    """One connection that many threads share; nothing is left open while nobody uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: DockerClient | None = None
        self._users = 0

    @contextlib.contextmanager
    def use(self) -> Iterator["DockerClient"]:
        """The connection.

        Raises:
            RunnerError: as `connect`.
        """
        with self._lock:
            if self._client is None:
                self._client = connect()
            self._users += 1
            client = self._client
        try:
            yield client
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    client.close()  # it opens again when it is used again

    @contextlib.contextmanager
    def use_patiently(self, stop: Stop) -> Iterator["DockerClient"]:
        """The connection, once the engine answers.

        Raises:
            SandboxError: it has not for `PATIENCE_S`, or `stop` was set meanwhile.
        """
        ends = time.monotonic() + PATIENCE_S
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    client = stack.enter_context(self.use())
                    with telling("the Docker engine cannot be asked"):
                        client.ping()
                    break
                except RunnerError as error:
                    stack.close()
                    if time.monotonic() > ends or stop.event.wait(_PAUSE_S):
                        raise SandboxError(str(error)) from error
            yield client


def _probe(host: str) -> None:
    """Raise what keeps one from a unix socket: docker-py says it less clearly, and leaves a socket open."""
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(TIMEOUT_S)
            probe.connect("/" + host.removeprefix("unix://").lstrip("/"))


def _os_error(error: BaseException | None) -> OSError | None:
    """The OSError with a number that stands behind an error: docker-py and its HTTP client hide it in arguments."""
    pending, seen = [error], set()
    while pending:
        found = pending.pop()
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, OSError) and found.errno is not None:
            return found
        pending += [found.__cause__, found.__context__]
        pending += [argument for argument in found.args if isinstance(argument, BaseException)]
    return None


def _one_line(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return text if len(text) <= 400 else f"{text[:400]}..."
