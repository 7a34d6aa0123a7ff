"""Sockets on which the gateway listens, each served by uvicorn, and connections that must not be kept for nothing."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import stat
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from mleb_core.errors import RunnerError, UsageError
from mleb_core.gateway.limits import GatewayLimits

__all__ = ["Door", "tcp_socket", "unix_socket"]

LONGEST_UNIX_PATH = 107
BACKLOG = 512
"""Connections that wait to be accepted."""
LAST_ANSWERS_S = 1.0


def tcp_socket(host: str, port: int) -> socket.socket:
    """A socket that listens on the loopback interface.

    Raises:
        UsageError: the address is no loopback address.
        RunnerError: it is taken.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise UsageError(f"the gateway listens on loopback addresses only, and {host!r} is none; use 127.0.0.1")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    made = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # asyncio asks for no delay only where TCP is named
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise RunnerError(f"the gateway cannot listen on {host} port {port}: {error.strerror}") from error
    return made


def unix_socket(path: Path) -> socket.socket:
    """A socket that listens at a path. Anyone who reaches the path may connect; tokens say who is served.

    Raises:
        UsageError: the path is too long for a unix socket.
        RunnerError: something is there, or the path cannot be made.
    """
    if len(os.fsencode(path)) > LONGEST_UNIX_PATH:
        raise UsageError(
            f"{path} is longer than the {LONGEST_UNIX_PATH} bytes of a unix socket; use a shorter directory"
        )
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise RunnerError(f"the gateway cannot listen at {path}: a file is there")
            if _alive(path):
                raise RunnerError(f"the gateway cannot listen at {path}: another one does")
            path.unlink()  # left by a harness that was killed
        made.bind(str(path))
        path.chmod(0o666)  # a container's user is another one; the directory and the tokens keep others out
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise RunnerError(f"the gateway cannot listen at {path}: {error.strerror}") from error
    except RunnerError:
        made.close()
        raise
    return made


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


class _Patient(H11Protocol):
    """Uvicorn's protocol, with an end to its patience: heads must arrive in time, and connections are counted."""

    limits: GatewayLimits
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
        else:
            self._timer = self.loop.call_later(self.limits.head_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiting = self.cycle is None or self.cycle.response_complete
        if not waiting:
            self._stop_timer()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.limits.head_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Door:
    """A socket that is being served.

    Uvicorn's protocol without its server: that one looks every tenth of a second whether it is to end and then waits
    another tenth, which would be most of a short run's time.
    """

    def __init__(self, app: ASGIApp, listening: socket.socket, limits: GatewayLimits) -> None:
        """Start to serve, in the running event loop.

        Args:
            app: who answers.
            listening: the socket; closed with the door.
            limits: what is borne.
        """
        self.path = Path(listening.getsockname()) if listening.family == socket.AF_UNIX else None
        """Where a unix socket is."""
        self._state = ServerState()
        config = uvicorn.Config(
            app,
            http=type("_Protocol", (_Patient,), {"limits": limits}),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # what hostile clients send is no news for the terminal
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(limits.idle_s) or 1,
            h11_max_incomplete_event_size=limits.head_bytes,
        )
        config.load()

        def protocol() -> _Patient:
            return config.http_protocol_class(config=config, server_state=self._state, app_state={})  # type: ignore

        loop = asyncio.get_running_loop()
        if self.path is not None:
            self._server = asyncio.ensure_future(loop.create_unix_server(protocol, sock=listening, backlog=BACKLOG))
        else:
            self._server = asyncio.ensure_future(loop.create_server(protocol, sock=listening, backlog=BACKLOG))

    async def close(self) -> None:
        """Stop to serve; whoever is still connected is cut off, after a second for answers that are under way."""
        (await self._server).close()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._state.tasks:
            _, late = await asyncio.wait(set(self._state.tasks), timeout=LAST_ANSWERS_S)
            for task in late:
                task.cancel()
        for connection in list(self._state.connections):
            if transport := getattr(connection, "transport", None):
                transport.abort()
        await asyncio.sleep(0)
        if self.path is not None:
            self.path.unlink(missing_ok=True)
