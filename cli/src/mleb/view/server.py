"""Serving the viewer on this machine until Ctrl-C."""

import contextlib
import errno
import socket
from collections.abc import Callable

import uvicorn

from mleb.view.app import make_app
from mleb.view.site import Site
from mleb_core.errors import MlebError, UsageError

__all__ = ["serve"]

HOST = "127.0.0.1"


def serve(site: Site, port: int, told: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Args:
        site: what is served.
        port: 0: a free one.
        told: gets the address, once it answers.

    Raises:
        UsageError: the port is in use, or not ours to take.
        MlebError: this machine lets us serve nothing.
    """
    listening = _listen(port)
    with listening:
        told(f"http://{HOST}:{listening.getsockname()[1]}/")
        config = uvicorn.Config(
            make_app(site),
            log_level="critical",
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
            server_header=False,
        )
        try:
            with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again when it has ended
                uvicorn.Server(config).run(sockets=[listening])
        finally:
            site.statistics.close()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is in use; choose another with --port, or --port 0 for a free one") from None
        if error.errno == errno.EACCES:
            raise UsageError(f"port {port} may not be used; choose one above 1023 with --port") from None
        raise MlebError(f"cannot serve on {HOST}: {error.strerror or error}") from None
    return listening
