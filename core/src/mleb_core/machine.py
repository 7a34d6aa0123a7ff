"""What a machine is made of, as far as a reader of scores needs it. Nothing here tells which machine it is."""

import functools
import os
import platform
from typing import Any

from mleb_core.errors import RunnerError
from mleb_core.runner.nvml import Driver, NvmlDriver

__all__ = ["machine_facts", "this_machine"]

_MOST_LINES = 200
_MOST_CHARACTERS = 200


def machine_facts(driver: Driver | None = None) -> dict[str, Any]:
    """Facts of this machine, for JSON: `cpu` (product name), `cores` (all, as the system counts them), `usable_cores`
    (those that this process may use), `memory_bytes`, `gpus` (a list of `id`, `name` and `memory_bytes` of each that
    the driver shows, parts of a divided one instead of it), `system`, `kernel`, `architecture`, `python`. None: it is
    not known; of `gpus`, that the driver does not answer. Never a name or an address.

    Args:
        driver: where GPUs are asked for; None: this machine's.
    """
    import psutil

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    try:
        gpus = [
            {"id": gpu.id, "name": gpu.name, "memory_bytes": gpu.memory_bytes}
            for gpu in (driver or NvmlDriver()).devices()
        ]
    except RunnerError:  # a run that needs none goes on
        gpus = None
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": usable,
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": gpus,
        "system": platform.system() or None,
        "kernel": platform.release() or None,
        "architecture": platform.machine() or None,
        "python": platform.python_version(),
    }


@functools.cache
def this_machine() -> dict[str, Any]:
    """`machine_facts`, asked once in a process: hundreds of runs may start at a time."""
    return machine_facts()


def _processor() -> str | None:
    """Product name of the processor, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
            for _, line in zip(range(_MOST_LINES), stream, strict=False):
                name, _, value = line.partition(":")
                if name.strip() in ("model name", "Model"):
                    return " ".join(value.split())[:_MOST_CHARACTERS] or None
    except OSError:
        pass
    return platform.processor()[:_MOST_CHARACTERS] or None
