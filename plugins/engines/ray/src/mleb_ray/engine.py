"""The engine `ray`: each run is a task on a Ray cluster.

Ray decides where runs go. What it does not do is done in `spreading`: a run whose process, node or task is gone is
tried again, once what it left behind has been cleared away.
"""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from mleb_core.engine.protocol import Execute
    from mleb_core.run import Limits, Run, RunKey
    from mleb_core.runner.protocol import Stop

__all__ = ["RayEngine"]


@dataclass(frozen=True)
class RayEngine:
    """Spreads runs over a Ray cluster."""

    address: str | None = None
    """`HOST:PORT` or `auto`; None: $MLEB_RAY_ADDRESS, else a cluster is started on this machine."""
    cpus: float = 1.0
    """Processor cores that a run asks for where --cpus does not say."""
    patience_s: float = 600.0
    """Seconds that runs wait for a node once none is left that could hold them."""
    data_url: str | None = None
    """Where nodes fetch prepared data that they do not have, any URL of fsspec's; None: they have it."""

    id = "ray"
    summary = "Runs on a Ray cluster; starts one here unless told where one is."
    elsewhere = True
    workers = 1000
    """Runs that Ray is given at a time: it places as many as fit."""

    def configured(self, settings: Mapping[str, Any]) -> "RayEngine":
        """The engine with `address`, `cpus`, `patience_s`, `data_url`.

        Raises:
            UsageError: another setting, or a wrong one.
        """
        found: dict[str, Any] = {}
        for name, value in settings.items():
            if name in ("address", "data_url"):
                if not isinstance(value, str) or not value.strip():
                    expected = "auto or HOST:PORT" if name == "address" else "a URL"
                    raise UsageError(f"engine setting {name}: expected {expected}, got {value!r}")
                found[name] = value.strip()
            elif name in ("cpus", "patience_s"):
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                    raise UsageError(f"engine setting {name}: expected a number, got {value!r}")
                found[name] = float(value)
            else:
                raise UsageError(f"engine ray has no setting {name}; it has address, cpus, data_url, patience_s")
        return replace(self, **found)

    def check(self, limits: "Limits") -> None:
        """Connect, and check that some node could hold such a run.

        Raises:
            RunnerError: there is no cluster, or no such node; with what the nodes have.
        """
        from mleb_ray.cluster import connect, place_for, request_of

        connect(self.address)
        place_for(request_of(limits, self.cpus))

    def spread(self, keys: "Sequence[RunKey]", execute: "Execute", *, workers: int, stop: "Stop") -> "Iterator[Run]":
        """As the protocol says."""
        if not keys:
            return
        from mleb_core.engine.protocol import Portable
        from mleb_core.run import Limits
        from mleb_ray.cluster import connect, request_of
        from mleb_ray.spreading import Spreading

        connect(self.address)
        limits = execute.limits if isinstance(execute, Portable) else Limits()
        environ = {name: value for name, value in os.environ.items() if name.endswith(("_API_KEY", "_BASE_URL"))}
        request = request_of(limits, self.cpus)
        spreading = Spreading(execute, request, stop, environ, patience_s=self.patience_s, data_url=self.data_url)
        yield from spreading.carry(keys, workers)
