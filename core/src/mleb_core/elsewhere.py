"""Runs of a group carried in other processes, on any machine that sees the group's directory.

A `Carrier` is pickled and sent there. What it needs in a process (registry, gateway, checker, grading) is a `Station`,
made from group.json for the first run and kept for the next ones. The run's own files are the same as on one machine.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.attempt import end_leftovers, open_ledger
from mleb_core.engine.protocol import Execute, Placement
from mleb_core.errors import RunnerError, SandboxError
from mleb_core.execute import UNDER_WAY, Executor, read_run
from mleb_core.grading.pool import GradingPool
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.ledger import is_in_use
from mleb_core.registry import Registry
from mleb_core.report.collect import load_group
from mleb_core.run import Run, RunGroup, RunKey, append_event, last_event
from mleb_core.runner.protocol import Stop
from mleb_core.services import Services

if TYPE_CHECKING:
    from mleb_core.gateway.shared_budget import Amount

__all__ = ["Carrier"]

PATIENCE_S = 60.0
"""Seconds that a run waits for its former process to let go of it."""
LOOK_S = 0.2

_STATIONS: dict[Path, "Station"] = {}
_MAKING = threading.Lock()


class Carrier:
    """See `mleb_core.engine.protocol.Portable`."""

    def __init__(self, directory: Path, group: RunGroup, on_change: Callable[[Run], None] | None = None) -> None:
        """Args:
        directory: the group's, absolute.
        group: what was asked for.
        on_change: told of each change of a run, in the harness.
        """
        self.directory, self.on_change = directory, on_change
        self.limits, self.budget = group.limits, group.terms.group_budget

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "on_change": None}

    def __call__(self, key: RunKey, stop: Stop) -> Run:
        """Carry a run in a place without special facts."""
        return self.placed(Placement(on_change=self.on_change))(key, stop)

    def placed(self, placement: Placement) -> Execute:
        """See `Portable.placed`."""

        def execute(key: RunKey, stop: Stop) -> Run:
            return _station(self.directory, placement).carry(key, stop, placement)

        return execute

    def standing(self, key: RunKey) -> Run | None:
        """See `Portable.standing`."""
        return read_run(self._layout(key))

    def last_place(self, key: RunKey) -> Mapping[str, Any]:
        """See `Portable.last_place`."""
        return last_event(self._layout(key).events, "placed")

    def sweep(self, key: RunKey, placement: Placement) -> None:
        """See `Portable.sweep`."""
        _station(self.directory, placement).sweep(key)

    def used(self) -> "dict[str, Amount]":
        """See `Portable.used`."""
        group = load_group(self.directory)
        if not self.budget.limited:
            return {}
        return {str(key): self.used_by(key) for key in group.run_keys() if self._layout(key).transcript.exists()}

    def used_by(self, key: RunKey) -> "Amount":
        """See `Portable.used_by`."""
        from mleb_core.gateway import usage_in
        from mleb_core.gateway.shared_budget import Amount

        usage = usage_in(self._layout(key).transcript)
        return Amount(usage.requests, usage.tokens.total, usage.known_cost_usd)

    def _layout(self, key: RunKey) -> RunLayout:
        return GroupLayout(self.directory).run(key.competition, key.agent, key.seed)


class Station:
    """What one process has for the runs of one group. Never closed: it ends with its process, which may be killed."""

    def __init__(self, group: RunGroup, layout: GroupLayout, registry: Registry, placement: Placement) -> None:
        """Args:
        group: what was asked for.
        layout: the group's directory.
        registry: where competitions, agents and runners are found.
        placement: of the first run; says where the budget and the keys are.
        """
        self.group, self.layout, self.registry = group, layout, registry
        self._places: dict[RunKey, Placement] = {}
        self._checked = False
        services = Services(
            group,
            layout,
            registry.runner(group.runner),
            given_gpus=self._gpus,
            bank=placement.bank if group.terms.group_budget.limited else None,
            environ=placement.environ,
        )
        pool = GradingPool(workers=1)
        self._executor = Executor(group, layout, registry, pool, services, self._told, self._ready)

    def carry(self, key: RunKey, stop: Stop, placement: Placement) -> Run:
        """Carry one run, in the place that it was given."""
        layout = self.layout.run(key.competition, key.agent, key.seed)
        with self._placed(key, placement):
            layout.root.mkdir(parents=True, exist_ok=True)
            _wait_for(layout)
            if placement.lost and (closed := self._executor.lost(key, placement.lost)) is not None:
                return closed
            if placement.fetch is not None and (digest := self.group.digests.get(key.competition)) is not None:
                placement.fetch(key.competition, Path(self.group.data_dir), digest)
            if placement.facts or placement.gpus:
                append_event(layout.events, "placed", **placement.facts, gpus=list(placement.gpus))
            return self._executor(key, stop)

    def sweep(self, key: RunKey) -> None:
        """End what is left of a run on this machine."""
        layout = self.layout.run(key.competition, key.agent, key.seed)
        _wait_for(layout)
        run = read_run(layout)
        if run is None or run.status not in UNDER_WAY:
            return
        with open_ledger(layout) as ledger:
            end_leftovers(run, layout, ledger, group=self.group, group_layout=self.layout, registry=self.registry)

    def _told(self, run: Run) -> None:
        """Pass a change on."""
        placement = self._places.get(run.key)
        if placement is not None and placement.on_change is not None:
            placement.on_change(run)

    def _gpus(self, key: RunKey) -> tuple[str, ...]:
        """What the engine gave a run."""
        return self._places[key].gpus

    def _ready(self) -> None:
        """Look once whether the runner can work on this machine."""
        if self._checked:
            return
        runner = self.registry.runner(self.group.runner)
        runner.check(self.group.limits)
        if (check := getattr(runner, "check_agent", None)) is not None:
            for agent in self.group.agents:
                scaffold, _ = self.registry.scaffold(agent)
                check(scaffold, self.group.settings, base=self.group.terms.image, gpus=self.group.limits.gpus > 0)
        self._checked = True

    @contextmanager
    def _placed(self, key: RunKey, placement: Placement) -> Iterator[None]:
        self._places[key] = placement
        try:
            yield
        finally:
            del self._places[key]


def _station(directory: Path, placement: Placement) -> Station:
    """The station of this process for a group; the first run's placement says where budget and keys are."""
    with _MAKING:
        if directory not in _STATIONS:
            _STATIONS[directory] = _made(directory, placement)
        return _STATIONS[directory]


def _made(directory: Path, placement: Placement) -> Station:
    layout = GroupLayout(directory)
    if not layout.group.is_file():
        host = placement.facts.get("host", "this machine")
        raise RunnerError(f"{host} does not see {directory}; --output must be a path that all machines share")
    return Station(load_group(directory), layout, Registry(), placement)


def _wait_for(layout: RunLayout) -> None:
    """Wait until no other process carries a run.

    Raises:
        SandboxError: it is carried all the time.
    """
    end = time.monotonic() + PATIENCE_S
    while is_in_use(layout):
        if time.monotonic() > end:
            raise SandboxError(f"{layout.root}: another process is at work on this run and does not end")
        time.sleep(LOOK_S)
