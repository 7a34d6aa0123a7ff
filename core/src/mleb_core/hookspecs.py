"""Every extension point of mleb.

A plugin is a distribution with an entry point in the group `mleb` that names a module (`hooks.py`) whose
functions, marked with `hookimpl`, implement some of these hooks. Hooks register and observe; the work is done
by the objects that they return. A plugin's hooks.py imports nothing heavy: it is imported by `mleb --help`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from mleb_core.agent import Scaffold
    from mleb_core.audits.protocol import Audit
    from mleb_core.competition import Competition
    from mleb_core.engine.protocol import Engine
    from mleb_core.grading.protocol import Grader
    from mleb_core.observing.protocol import Observer
    from mleb_core.report.models import GroupReport, RunReport
    from mleb_core.run import Run, RunGroup
    from mleb_core.runner.protocol import Runner

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "mleb"
"""Entry-point group and pluggy project name."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def mleb_register_competitions() -> "Iterable[Competition]":
    """Competitions that the plugin brings. Fires once, when ids are first looked up. Since 0.1.

    Returns:
        Usually `competitions_in(Path(__file__).parent)`. An id that another plugin has is an error of the
        plugin whose distribution name comes later in the alphabet.
    """
    return ()


@hookspec
def mleb_register_agents() -> "Iterable[Scaffold]":
    """Agent scaffolds that the plugin brings. Fires once, when ids are first looked up. Since 0.1."""
    return ()


@hookspec
def mleb_register_graders() -> "Iterable[Grader]":
    """Graders that the plugin brings. Fires once, when ids are first looked up. Since 0.1.

    The objects are made without importing pandas or scikit-learn; they do so when they grade.
    """
    return ()


@hookspec
def mleb_register_runners() -> "Iterable[Runner]":
    """Runners that the plugin brings, beside core's `local`. Fires once, at first look-up. Since 0.1."""
    return ()


@hookspec
def mleb_register_engines() -> "Iterable[Engine]":
    """Engines that the plugin brings, beside core's `local`. Fires once, at first look-up. Since 0.1."""
    return ()


@hookspec
def mleb_register_audits() -> "Iterable[Audit]":
    """Audits that the plugin brings: checks of prepared data or of finished runs (`mleb audit`) that give findings with
    evidence. Fires once, when ids are first looked up. Since 0.1.
    """
    return ()


@hookspec
def mleb_register_observers() -> "Iterable[Observer]":
    """Observers that the plugin brings: each tells another system of a run group where a user asks for it with
    `--observe ID`. Fires once, when ids are first looked up. Since 0.1.

    An observer works in a process of its own: whatever it takes or breaks touches no run. The hooks below are for what
    is quick and always wanted.
    """
    return ()


@hookspec
def mleb_run_started(run: "Run") -> None:
    """A run is about to start its agent. Fires in the run's thread, in the harness or, with an engine whose runs happen
    elsewhere, in the process that carries the run. Since 0.1.

    One that raises, or takes longer than 30 s, is recorded in the run's events and stops nothing; one that took too
    long is not called again by this process.
    """


@hookspec
def mleb_run_finished(run: "Run", result: "RunReport") -> None:
    """A run has ended and its report is on disk. Fires once a run, in the run's thread. Since 0.1.

    One that raises or takes too long is treated as by `mleb_run_started`.
    """


@hookspec
def mleb_run_group_finished(run_group: "RunGroup", report: "GroupReport") -> None:
    """All runs of a group have ended and the group's report is on disk. Fires once a launch. Since 0.1.

    One that raises or takes too long is told to the user.
    """


@hookspec
def mleb_register_commands(app: Any) -> None:
    """Add commands to the command line. Fires when a command is asked for that mleb does not have, and for
    `mleb --help`. Since 0.1.

    Args:
        app: the `typer.Typer` to add commands to.
    """
