"""What the gateway bears from those who talk to it."""

from dataclasses import dataclass, field

from mleb_core.gateway.forward import Retries

__all__ = ["GatewayLimits"]

MIB = 1024**2


@dataclass(frozen=True)
class GatewayLimits:
    """Limits of a gateway."""

    request_bytes: int = 32 * MIB
    """Largest request."""
    request_parts: int = 1_000_000
    """Most objects, lists and commas in a request: each may cost a hundred bytes of memory."""
    run_request_bytes: int = 96 * MIB
    """Requests of one run that are under way, together."""
    run_requests: int = 256
    """Requests of one run that are under way."""
    reply_bytes: int = 64 * MIB
    """Largest reply of a provider."""
    transcript_bytes: int = 10 * 1024 * MIB
    """Beyond it a transcript tells requests and replies by size and sha256 alone."""
    head_bytes: int = 64 * 1024
    """Largest head of a request."""
    head_s: float = 15.0
    """Seconds for a head to arrive."""
    body_s: float = 60.0
    """Seconds for a request's body to arrive."""
    idle_s: float = 60.0
    """Seconds that a connection may be open and unused."""
    send_s: float = 60.0
    """Seconds that a client may leave a piece of a reply unread."""
    check_bytes: int = 2 * 1024 * MIB
    """Largest file that is checked."""
    check_upload_s: float = 300.0
    """Seconds for a file to check to arrive."""
    checks_a_minute: int = 6
    """Most files of one run that are checked within a minute."""
    checks: int = 8
    """Files that are checked at a time; others wait."""
    checks_bytes: int = 8 * 1024 * MIB
    """Files of all runs that are under way, together; they lie in the runs' directories meanwhile."""
    connections: int = 1024
    """Most connections at once for each socket."""
    retries: Retries = field(default_factory=Retries)
    """How failures of providers are borne."""
