"""mleb-core: the library that mleb's command line and all plugins stand on.

Names are imported when first used (PEP 562), so that a plugin's hooks.py may import `hookimpl` for next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "mleb_core.agent": ("AgentId", "AgentPaths", "Launch", "LaunchContext", "Scaffold"),
    "mleb_core.competition": ("Competition", "competitions_in"),
    "mleb_core.evaluate": ("EvalRequest", "evaluate", "plan", "resume"),
    "mleb_core.errors": (
        "CompetitionError",
        "GraderError",
        "InvalidSubmissionError",
        "MlebError",
        "NotPreparedError",
        "PluginError",
        "PreparationError",
        "RunGroupError",
        "RunnerError",
        "SandboxError",
        "UnknownIdError",
        "UsageError",
    ),
    "mleb_core.hookspecs": ("hookimpl",),
    "mleb_core.plugins": ("PluginManager", "load_plugins"),
    "mleb_core.registry": ("Registry",),
    "mleb_core.run": ("Limits",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
