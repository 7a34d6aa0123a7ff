"""mleb-core: the library that mleb's command line and all plugins stand on.

What plugin authors need stands here; the work is done by the public modules

    mleb_core.prepare           prepare, require_prepared
    mleb_core.evaluate          EvalRequest, plan, evaluate, resume
    mleb_core.grading.grade     grade_submission
    mleb_core.report            build, collect, formats
    mleb_core.testing           contract suites

Names are imported when first used (PEP 562), so that a plugin's hooks.py may import `hookimpl` for next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "AgentId",
    "AgentPaths",
    "Competition",
    "CompetitionError",
    "GraderError",
    "InvalidSubmissionError",
    "Launch",
    "LaunchContext",
    "Limits",
    "MlebError",
    "NotPreparedError",
    "PluginError",
    "PluginManager",
    "PreparationError",
    "Registry",
    "RunGroupError",
    "RunnerError",
    "SandboxError",
    "Scaffold",
    "UnknownIdError",
    "UsageError",
    "__version__",
    "competitions_in",
    "hookimpl",
    "load_plugins",
]

if TYPE_CHECKING:  # what type checkers and editors see
    from mleb_core.agent import AgentId, AgentPaths, Launch, LaunchContext, Scaffold
    from mleb_core.competition import Competition, competitions_in
    from mleb_core.errors import (
        CompetitionError,
        GraderError,
        InvalidSubmissionError,
        MlebError,
        NotPreparedError,
        PluginError,
        PreparationError,
        RunGroupError,
        RunnerError,
        SandboxError,
        UnknownIdError,
        UsageError,
    )
    from mleb_core.hookspecs import hookimpl
    from mleb_core.plugins import PluginManager, load_plugins
    from mleb_core.registry import Registry
    from mleb_core.run import Limits

_HOMES = {
    "mleb_core.agent": ("AgentId", "AgentPaths", "Launch", "LaunchContext", "Scaffold"),
    "mleb_core.competition": ("Competition", "competitions_in"),
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
