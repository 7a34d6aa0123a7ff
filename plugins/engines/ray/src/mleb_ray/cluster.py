"""Ray itself: connecting to a cluster or starting one here, what its nodes have, and where a run fits."""

import logging
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mleb_core.errors import RunnerError
from mleb_core.run import Limits

__all__ = ["Node", "Request", "connect", "disconnect", "here", "nodes", "place_for", "request_of"]

_GIB = 1024**3
_STORE_BYTES = 128 * 1024**2
"""Of a cluster that is started here: nothing large passes through Ray."""
SHOWN = 4


@dataclass(frozen=True)
class Request:
    """What one run asks of a node."""

    cpus: float
    """Processor cores."""
    gpus: int = 0
    """Whole GPUs."""
    memory_bytes: int = 0
    """Memory; 0: it does not say."""

    def options(self) -> dict[str, Any]:
        """The same for Ray."""
        asked: dict[str, Any] = {"num_cpus": self.cpus}
        if self.gpus:
            asked["num_gpus"] = self.gpus
        if self.memory_bytes:
            asked["memory"] = self.memory_bytes
        return asked

    def __str__(self) -> str:
        return _amounts(self.cpus, self.gpus, self.memory_bytes)


@dataclass(frozen=True)
class Node:
    """One node that is alive."""

    id: str
    """Ray's name for it."""
    host: str
    """Its machine's name."""
    address: str
    """Its machine's address."""
    has: Mapping[str, float] = field(default_factory=dict)
    """Ray's resources, all of them together."""

    def holds(self, request: Request) -> bool:
        """Whether it could hold such a run were it empty."""
        has = self.has.get
        fits = has("CPU", 0) >= request.cpus and has("GPU", 0) >= request.gpus
        return fits and has("memory", 0) >= request.memory_bytes

    def __str__(self) -> str:
        has = self.has.get
        return f"{self.host} has {_amounts(has('CPU', 0), int(has('GPU', 0)), int(has('memory', 0)))}"


def _amounts(cpus: float, gpus: int, memory_bytes: int) -> str:
    parts = [f"{cpus:g} CPU{'' if cpus == 1 else 's'}", f"{gpus} GPU{'' if gpus == 1 else 's'}"]
    if memory_bytes:
        parts.append(f"{memory_bytes / _GIB:.1f} GiB")
    return ", ".join(parts)


def request_of(limits: Limits, cpus: float) -> Request:
    """What a run with these limits asks for.

    Args:
        limits: of the run.
        cpus: where the limits do not say.
    """
    return Request(limits.cpus if limits.cpus is not None else cpus, limits.gpus, limits.memory_bytes or 0)


def connect(address: str | None) -> None:
    """Connect this process; once, whatever the address later.

    Args:
        address: `HOST:PORT` or `auto`; None: $MLEB_RAY_ADDRESS, else $RAY_ADDRESS, else a cluster is started here,
            which ends with this process.

    Raises:
        RunnerError: nobody answers there, or one cannot be started.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        return
    address = address or os.environ.get("MLEB_RAY_ADDRESS") or os.environ.get("RAY_ADDRESS") or "local"
    if "://" in address:
        raise RunnerError(
            f"--ray-address {address}: Ray's client is not supported; start mleb on a node of the cluster"
        )
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    _quieten()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise RunnerError(f"no Ray cluster at {address}: {text[:300]}") from error
    finally:
        _restore(before)


def _quieten() -> None:
    """Keep Ray from printing pages of its logs when a node dies; the engine tells it in a line of the run's events."""
    from ray._private import worker

    logger = logging.getLogger("ray")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    # The only switch there is for what Ray's thread of errors prints to stdout. Where a later Ray lacks it, it prints.
    if hasattr(worker, "_worker_logs_enabled"):
        worker._worker_logs_enabled = False


def disconnect() -> None:
    """Let go of the cluster; one that was started here ends."""
    import ray

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ray.shutdown()
    _restore(before)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    """Ray sets handlers of its own, over those by which a user stops a group."""
    import threading

    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def nodes() -> list[Node]:
    """The nodes that are alive."""
    import ray

    return [
        Node(found["NodeID"], found["NodeManagerHostname"], found["NodeManagerAddress"], dict(found["Resources"]))
        for found in ray.nodes()  # type: ignore[no-untyped-call]
        if found["Alive"]
    ]


def here() -> dict[str, Any]:
    """Of the place that this process is in: `node`, `host`, `address`, `pid`."""
    import ray

    return {
        "node": ray.get_runtime_context().get_node_id(),
        "host": socket.gethostname(),
        "address": ray.util.get_node_ip_address(),  # type: ignore[no-untyped-call]
        "pid": os.getpid(),
    }


def place_for(request: Request) -> None:
    """Check that some node could hold such a run were it empty.

    Raises:
        RunnerError: none could; with what the nodes have.
    """
    there = nodes()
    if any(node.holds(request) for node in there):
        return
    largest = sorted(there, key=lambda node: [node.has.get(name, 0.0) for name in ("GPU", "CPU", "memory")])[::-1]
    told = "; ".join(str(node) for node in largest[:SHOWN])
    more = f"; and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    raise RunnerError(f"no node of the cluster can hold a run that asks for {request}: {told or 'there is none'}{more}")
