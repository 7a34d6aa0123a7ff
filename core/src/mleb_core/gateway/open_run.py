"""A run that the gateway serves: its token, models, budget, transcript and what it has used."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mleb_core.gateway.budgets import Meter
from mleb_core.gateway.providers import Provider, resolve
from mleb_core.gateway.recording import Recorder, Replay
from mleb_core.gateway.records import Budget, ModelUsage, Usage
from mleb_core.gateway.transcript import Transcript
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey

if TYPE_CHECKING:
    from mleb_core.gateway.checker import Checks
    from mleb_core.gateway.serving import Door

__all__ = ["ALIAS", "OpenRun", "Target", "targets"]

ALIAS = "mleb-model"
"""The name under which a scaffold finds the model asked for with --model. Client libraries that know a model's name may
go to its provider past the base URL; this one none knows."""


@dataclass(frozen=True)
class Target:
    """A model that a run may ask."""

    provider: Provider
    """Who runs it."""
    name: str
    """Its name there."""

    def __str__(self) -> str:
        return f"{self.provider.id}/{self.name}"


def targets(models: str | Mapping[str, str], providers: Mapping[str, Provider]) -> dict[str, Target]:
    """The models of a run, by every name under which it may ask them: alias, `provider/name`, and the bare name.

    Args:
        models: `provider/name` of the one model (its alias is `mleb-model`), or such names by alias.
        providers: those that there are.

    Raises:
        UsageError: as `resolve`.
    """
    found: dict[str, Target] = {}
    for alias, model in ({ALIAS: models} if isinstance(models, str) else models).items():
        target = Target(*resolve(model, providers))
        for name in (target.name, str(target)):
            found.setdefault(name, target)
        found[alias] = target
    return found


@dataclass(eq=False)
class OpenRun:
    """State of a run; changed in the gateway's event loop only."""

    key: RunKey
    """Which run."""
    layout: RunLayout
    """Its directory."""
    token: str = field(repr=False)
    """What it shows to be served."""
    targets: Mapping[str, Target]
    """Models by the names it may use."""
    meters: tuple[Meter, ...]
    """Its own budget, then its group's."""
    transcript: Transcript
    """Its transcript."""
    recorder: Recorder | None = None
    """Where its exchanges are recorded."""
    replay: Replay | None = None
    """What it gets instead of a provider's replies."""
    models: dict[str, ModelUsage] = field(default_factory=dict)
    """What it has used, by `provider/name`."""
    refused: int = 0
    """Requests that the gateway refused."""
    budget_reached: str | None = None
    """The budget that was hit, in one line."""
    tasks: set["asyncio.Task[object]"] = field(default_factory=set)
    """Exchanges under way."""
    body_bytes: int = 0
    """Size of the requests under way."""
    number: int = 0
    """Exchanges begun."""
    door: "Door | None" = None
    """Its own socket."""
    checker: "Checks | None" = None
    """Who checks its submissions; None: nobody."""
    checking: bool = False
    """Whether a check is under way."""
    check_times: deque[float] = field(default_factory=deque)
    """When the checks of the last minute began."""
    checks_refused: int = 0
    """Checks that were refused, as too many, since the last one that was not."""
    closed: bool = False
    """Whether it is over for it."""

    def usage(self) -> Usage:
        """What it has used so far."""
        return Usage.of(dict(self.models), refused=self.refused, budget_reached=self.budget_reached)

    def go_on(self, usage: Usage) -> None:
        """Take up what it had used before the harness was started anew; the group's meter is not touched."""
        self.models = dict(usage.models)
        self.number = usage.requests
        take_up(self.meters[0], usage)


def take_up(meter: Meter, usage: Usage) -> None:
    """Count on a meter what was used before."""
    meter.requests += usage.requests
    meter.tokens += usage.tokens.total
    meter.cost_usd += usage.known_cost_usd


def meter(owner: str, budget: Budget | None) -> Meter:
    """A meter; no budget: it only counts."""
    return Meter(owner, budget or Budget())
