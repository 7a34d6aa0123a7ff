"""An HTTP proxy to the few hosts that a run may reach: how `--network HOST` opens a closed network by a crack.

The agent's network stays closed; its only ways out are unix sockets. One of them leads here: CONNECT (for https) and
plain http requests to allowed hosts are passed on from the host, everything else gets status 403. A name that leads
to an address of this machine or its private network is refused, unless the list names that address itself.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from mleb_core.errors import RunnerError
from mleb_core.gateway.allowed import Allowed

__all__ = ["Egress"]

HEAD_BYTES = 32 * 1024
"""Largest head of a request."""
HEAD_S = 15.0
"""Seconds in which a head must arrive, and a host must answer the call."""
IDLE_S = 600.0
"""Seconds after which a connection without traffic is closed."""
CONNECTIONS = 256
"""Connections of one run at a time."""
NOTED_HOSTS = 1000
"""Different hosts that are noted for one run."""

_CHUNK = 64 * 1024
_DROPPED = (b"proxy-", b"connection:", b"keep-alive:")


class _RefusedError(Exception):
    """A request that is not passed on."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(eq=False)
class _Gate:
    """One run's way out."""

    path: Path
    note: Callable[..., object]
    server: asyncio.Server | None = None
    noted: set[tuple[str, int, bool]] = field(default_factory=set)
    tasks: "set[asyncio.Task[Any]]" = field(default_factory=set)


class Egress:
    """The proxy of a run group: a thread; each run has a unix socket of its own.

    >>> with Egress(Allowed.of(["pypi.example"])) as egress:   # doctest: +SKIP
    ...     egress.open_run(path, note)
    """

    def __init__(self, allowed: Allowed) -> None:
        self.allowed = allowed
        """What may be reached."""
        self._gates: dict[Path, _Gate] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mleb-egress", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close all ways out and end the thread."""
        for path in list(self._gates):
            self.close_run(path)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open_run(self, path: Path, note: Callable[..., object]) -> None:
        """Serve a run at a unix socket.

        Args:
            path: of the socket; what a dead harness left there is replaced.
            note: told of each host once, `note("network", host=..., port=..., allowed=...)`, from the proxy's thread.

        Raises:
            RunnerError: the socket cannot be made.
        """
        gate = _Gate(path, note)
        self._gates[path] = gate
        try:
            asyncio.run_coroutine_threadsafe(self._open(gate), self._loop).result()
        except OSError as error:
            del self._gates[path]
            raise RunnerError(f"the proxy cannot listen at {path}: {error.strerror or error}") from error

    def close_run(self, path: Path) -> None:
        """Cut off a run; one that is not open is no error."""
        gate = self._gates.pop(path, None)
        if gate is not None:
            asyncio.run_coroutine_threadsafe(self._close(gate), self._loop).result()

    async def _open(self, gate: _Gate) -> None:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._serve(gate, reader, writer))
            gate.tasks.add(task)
            task.add_done_callback(gate.tasks.discard)

        with contextlib.suppress(FileNotFoundError):
            gate.path.unlink()
        gate.server = await asyncio.start_unix_server(accept, gate.path, limit=HEAD_BYTES, backlog=CONNECTIONS)
        gate.path.chmod(0o666)  # the container's user is another one; the directory keeps others out

    async def _close(self, gate: _Gate) -> None:
        if gate.server is not None:
            gate.server.close()
        for task in gate.tasks:
            task.cancel()
        if gate.tasks:
            await asyncio.wait(set(gate.tasks))
        gate.path.unlink(missing_ok=True)

    async def _serve(self, gate: _Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(gate.tasks) > CONNECTIONS:
                raise _RefusedError("429 Too Many Requests", f"more than {CONNECTIONS} connections")
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
                there, first = await self._connect(gate, head)
            if first:
                there[1].write(first)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _pump_both((reader, writer), there)
        except _RefusedError as refusal:
            writer.write(f"HTTP/1.1 {refusal.status}\r\nconnection: close\r\n\r\n{refusal}\n".encode())
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # a client that is slow, gone or talks nonsense is told nothing
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _connect(
        self, gate: _Gate, head: bytes
    ) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter], bytes]:
        """The connection that a request asks for, and what is to be sent on it first (nothing for CONNECT)."""
        line, _, rest = head.partition(b"\r\n")
        try:
            method, target, version = line.decode("ascii").split(" ")
            url = urlsplit(f"//{target}" if method == "CONNECT" else target)
            host, port = url.hostname, url.port or (80 if url.scheme == "http" else 0)
        except ValueError:
            raise _RefusedError("400 Bad Request", "not a request of HTTP/1.1 to a proxy") from None
        if not host or not port or (method != "CONNECT" and url.scheme != "http"):
            raise _RefusedError("400 Bad Request", "a proxy takes CONNECT host:port, or a URL that begins with http://")
        allowed = self.allowed.permits(host, port)
        if (seen := (host[:255], port, allowed)) not in gate.noted and len(gate.noted) < NOTED_HOSTS:
            gate.noted.add(seen)
            gate.note("network", host=seen[0], port=port, allowed=allowed)
        if not allowed:
            raise _RefusedError("403 Forbidden", f"{host[:255]}:{port} is not open to this run")
        there = await self._dial(host, port)
        if method == "CONNECT":
            return there, b""
        path = url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        fields = [one for one in rest.split(b"\r\n") if one and not one.lower().startswith((*_DROPPED, b"host:"))]
        start = f"{method} {path} {version}\r\nhost: {url.netloc.rpartition('@')[2]}\r\nconnection: close".encode()
        return there, b"\r\n".join([start, *fields, b"", b""])

    async def _dial(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise _RefusedError("502 Bad Gateway", f"{host[:255]} is not known") from None
        addresses = [str(info[4][0]) for info in found]
        if not self.allowed.names_address(host):
            addresses = [one for one in addresses if ipaddress.ip_address(one.partition("%")[0]).is_global]
            if not addresses:
                raise _RefusedError("403 Forbidden", f"{host[:255]} leads into a private network")
        for address in addresses:
            with contextlib.suppress(OSError):
                return await asyncio.open_connection(address, port)
        raise _RefusedError("502 Bad Gateway", f"{host[:255]}:{port} does not answer")


async def _pump_both(
    here: tuple[asyncio.StreamReader, asyncio.StreamWriter], there: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Pass bytes both ways until both sides have ended, or one has failed."""
    last = [asyncio.get_running_loop().time()]
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(here[0], there[1], last))
            both.create_task(_pump(there[0], here[1], last))
    except* (OSError, TimeoutError):
        pass
    finally:
        with contextlib.suppress(OSError):
            there[1].close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last: list[float]) -> None:
    """Pass bytes one way; `last` is when a byte went either way, for a long download sends nothing back."""
    clock = asyncio.get_running_loop().time
    while True:
        try:
            async with asyncio.timeout_at(last[0] + IDLE_S):
                chunk = await reader.read(_CHUNK)
        except TimeoutError:
            if clock() < last[0] + IDLE_S:
                continue
            raise
        last[0] = clock()
        if not chunk:
            break
        writer.write(chunk)
        async with asyncio.timeout(IDLE_S):
            await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
