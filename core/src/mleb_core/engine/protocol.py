"""What an engine is: how many runs are spread over the machines that there are."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from mleb_core.run import Run, RunKey
from mleb_core.runner.protocol import Stop

__all__ = ["Engine", "Execute"]

Execute = Callable[[RunKey, Stop], Run]
"""Carries one run through all its states, writes its directory, returns the final state.

Raises RunGroupError, and nothing else, when the group's directory can no longer be written."""


@runtime_checkable
class Engine(Protocol):
    """Spreads runs."""

    id: str
    """Name for --engine."""
    summary: str
    """One line for listings."""

    def spread(self, keys: Sequence[RunKey], execute: Execute, *, workers: int, stop: Stop) -> Iterator[Run]:
        """Execute every run, `workers` at a time, in order of start; yield each as it ends.

        Once `stop` is set no further run is started; those under way are waited for.

        Raises:
            RunnerError: the runs can never be placed.
            RunGroupError: from `execute`; the runs under way are asked to stop and waited for first.
        """
        ...
