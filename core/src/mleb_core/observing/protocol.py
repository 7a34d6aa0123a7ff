"""What an observer is: an object that tells another system (a tracking server, a chat) of a run group.

An observer works in a process of its own, so that neither its failures nor its slowness touch a run. The process has
the user's environment, keys for the other system included; the agents have not. A whole one:

    class Lines:
        id = "lines"
        summary = "Appends a line a run to a file."
        settings_type = LinesSettings            # optional: a pydantic model of what --observe-set may give

        def check(self, settings):
            if "file" not in settings: raise UsageError("observer lines: give --observe-set lines.file=PATH")

        def open(self, watched):
            return LinesSession(watched)

    @hookimpl
    def mleb_register_observers():
        return [Lines()]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.report.models import GroupReport, RunReport
from mleb_core.run import Run, RunGroup

__all__ = ["Observer", "Session", "Watched"]


@dataclass(frozen=True)
class Watched:
    """The run group that is observed."""

    group: RunGroup
    """What was asked for."""
    layout: GroupLayout
    """Its directory, to be read only."""
    settings: Mapping[str, Any]
    """The observer's settings, as its `settings_type` took them."""
    folder: Path
    """A directory in the group's that is the observer's own; kept when the group goes on with --resume."""


class Session(Protocol):
    """One group being observed. All calls come from one thread; one that raises is recorded and the next one made."""

    def run_changed(self, run: Run, place: RunLayout) -> None:
        """A run's status has changed. A run that is started again comes with a higher `attempt`.

        Args:
            run: the run as it then stood.
            place: its directory.
        """
        ...

    def run_finished(self, run: Run, report: RunReport, place: RunLayout) -> None:
        """A run has ended and its report is on disk.

        Comes once for each attempt that has a report; where it raised or the observer was behind, again with the
        next --resume. A run that ended without `run_changed` having come may be told here first.
        """
        ...

    def close(self, report: GroupReport | None) -> None:
        """Nothing more comes.

        Args:
            report: the group's; None where the group was interrupted and may go on.
        """
        ...


@runtime_checkable
class Observer(Protocol):
    """Opens a session for each group that is to be observed."""

    id: str
    """Name for --observe."""
    summary: str
    """One line for listings."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Look whether a session can be opened, before any run starts. Contacts nobody.

        Raises:
            UsageError: a library, a key or a setting is missing; one line that says what to do.
        """
        ...

    def open(self, watched: Watched) -> Session:
        """Begin to observe a group, or go on with one that was interrupted. Runs in the observer's own process.

        Raises:
            any exception: it is recorded, and the group goes on without this observer.
        """
        ...
