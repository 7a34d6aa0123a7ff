"""What an engine is: how many runs are spread over the machines that there are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mleb_core.run import Limits, Run, RunKey
from mleb_core.runner.protocol import Stop
from mleb_core.terms import Budget

if TYPE_CHECKING:
    from mleb_core.gateway.shared_budget import Amount, Bank

__all__ = ["Engine", "Execute", "Placement", "Portable"]

Execute = Callable[[RunKey, Stop], Run]
"""Carries one run through all its states, writes its directory, returns the final state.

Raises RunGroupError, and nothing else, when the group's directory can no longer be written."""


@dataclass(frozen=True)
class Placement:
    """What an engine whose runs happen in other processes tells there of the place that it found for a run."""

    gpus: tuple[str, ...] = ()
    """The GPUs that it gave the run, as CUDA_VISIBLE_DEVICES names devices: a number on this machine, or an id."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of the place, for the run's events: `node`, `host`."""
    on_change: Callable[[Run], None] | None = None
    """Told of each change of the run's status; takes no time."""
    bank: "Bank | None" = None
    """Where the group's budget is kept that all processes share; None: there is none."""
    environ: Mapping[str, str] | None = None
    """Where providers' keys and addresses are found; None: this process's environment."""
    fetch: Callable[[str, Path, str], None] | None = None
    """fetch(label, data_dir, digest) gets a competition's prepared data to this machine, where it is not there yet;
    raises SandboxError or NotPreparedError. None: it is there."""
    lost: str = ""
    """Why the run's former process is gone, in one line: counted as a failure of the sandbox. Empty: it is not."""


@runtime_checkable
class Portable(Protocol):
    """An `Execute` that can be pickled and called in any process of any machine that sees the group's directory."""

    on_change: Callable[[Run], None] | None
    """Told of each change of a run's status, in the harness; not pickled."""
    directory: Path
    """The group's."""
    limits: Limits
    """What one run may use."""
    budget: Budget
    """What all runs together may use of models."""

    def __call__(self, key: RunKey, stop: Stop) -> Run:
        """As `Execute`, in a place without special facts."""
        ...

    def placed(self, placement: Placement) -> Execute:
        """The same in a certain place. What is made for it in this process is kept for the next run there."""
        ...

    def standing(self, key: RunKey) -> Run | None:
        """A run as it stands on disk; None: it has not begun."""
        ...

    def last_place(self, key: RunKey) -> Mapping[str, Any]:
        """The facts of the place where the run was last; empty: none is known."""
        ...

    def sweep(self, key: RunKey, placement: Placement) -> None:
        """End what a process that died left running of a run on this machine.

        Raises:
            MlebError, OSError: that failed.
        """
        ...

    def used(self) -> "Mapping[str, Amount]":
        """What each run has used of models so far, by `str(key)`; empty where the group has no budget."""
        ...

    def used_by(self, key: RunKey) -> "Amount":
        """What one run has used of models so far."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Spreads runs.

    Optional attributes:

    `elsewhere`: True for one whose runs happen in other processes. It is given a `Portable` to execute, and its runs'
    places are asked for instead of this machine's: `check(limits)` raises RunnerError, in one line with what there is,
    where no machine can ever hold such a run.

    `configured(settings)`: the engine with settings (`--engine-set KEY=VALUE`), checked; raises UsageError. An engine
    without it has none.

    `workers`: runs at a time where a user does not say; 1 without it.
    """

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
