"""Which hosts an agent may reach beside the gateway, as --network names them."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mleb_core.errors import UsageError

__all__ = ["EVERYTHING", "Allowed"]

EVERYTHING = "*"
"""The one word that opens the network without any list."""

_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_PORTS = (80, 443)


@dataclass(frozen=True)
class Allowed:
    """A list of hosts: `pypi.example`, `*.example` (every host below it, not itself), `host:port`, `[::1]:80`."""

    rules: tuple[tuple[str, int | None], ...]
    """Host or pattern in lower case, and port; no port: 80 and 443."""

    @classmethod
    def of(cls, network: Sequence[str]) -> "Allowed":
        """Read what --network names.

        Raises:
            UsageError: an entry is no host, or `*` does not stand alone.
        """
        if EVERYTHING in network and len(network) > 1:
            raise UsageError("--network: * opens everything, so it stands alone")
        return cls(tuple(_rule(entry) for entry in network if entry != EVERYTHING))

    def permits(self, host: str, port: int) -> bool:
        """Whether a connection to a host, as the agent names it, is allowed."""
        host = host.lower().rstrip(".")
        return any(
            (host == name or (name.startswith("*.") and host.endswith(name[1:])))
            and (port == only or (only is None and port in _PORTS))
            for name, only in self.rules
        )

    def names_address(self, host: str) -> bool:
        """Whether a host is an address that stands in the list as it is: only so is this machine's own network open."""
        return any(host == name and _is_address(name) for name, _ in self.rules)


def _rule(entry: str) -> tuple[str, int | None]:
    text = entry.strip().lower()
    bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?", text)
    host, port = bracketed.groups() if bracketed else (text, None)
    if not bracketed and text.count(":") == 1:
        host, port = text.split(":")
    if port is not None and not (port.isdecimal() and 0 < int(port) < 65536):
        raise UsageError(f"--network {entry}: {port!r} is no port")
    if not (_is_address(host) or _NAME.fullmatch(host)):
        raise UsageError(f"--network {entry}: no host; expected a name such as pypi.example, *.example or host:port")
    return host, int(port) if port else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
