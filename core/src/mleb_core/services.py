"""What the harness offers to the runs of one group: models through the gateway, the submission checker, hosts, GPUs.

One `Services` lives as long as a harness works on the group; each run has a `Place` in it while its agent runs. What a
later harness needs to serve an agent that outlived this one (its token, its GPUs) lies beside the run's sockets.
"""

import contextlib
import importlib.util
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mleb_core.agent import AgentId, Scaffold
from mleb_core.competition import Competition
from mleb_core.errors import RunnerError, UsageError
from mleb_core.gateway.allowed import EVERYTHING, Allowed
from mleb_core.gateway.egress import Egress
from mleb_core.grading.checker import Checker
from mleb_core.grading.pool import GradingPool
from mleb_core.layout import GroupLayout, RunLayout, write_json
from mleb_core.ledger import Kind, Ledger
from mleb_core.ledger_facts import gateway_details
from mleb_core.registry import Registry
from mleb_core.run import RunGroup, RunKey
from mleb_core.runner.gpus import GpuPool
from mleb_core.runner.protocol import Channel, Runner, Stop
from mleb_core.runner.remove import remove_tree

if TYPE_CHECKING:
    from mleb_core.gateway import Gateway, Usage
    from mleb_core.gateway.budgets import Meter
    from mleb_core.gateway.shared_budget import Bank

__all__ = ["Models", "Place", "Services", "can_check", "check_services", "models_of"]

Models = str | Mapping[str, str]
"""`provider/name`, found by an agent as `mleb-model`; or such names by alias."""


def models_of(asked: str | None, scaffold: Scaffold, agent: AgentId) -> Models | None:
    """The models of an agent: what --model says, else what its variant stands for; or None."""
    if asked is not None:
        return asked
    known = getattr(scaffold, "models", None)
    found: Models | None = known(agent.variant) if known is not None else None
    return found


def can_check() -> bool:
    """Whether there is a submission checker, which comes with the extra `gateway`."""
    return all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn", "httpx2", "python_multipart"))


def check_services(group: RunGroup, runner: Runner, registry: Registry, *, here: bool = True) -> None:
    """Check that a group's services can be had; start nothing.

    Args:
        group: what was asked for.
        runner: where its runs happen.
        registry: where its agents are found.
        here: whether runs happen on this machine, which then needs the GPUs.

    Raises:
        UsageError: hosts that are none, or for a runner that does not close the network; both of record and replay, or
            recordings that are not there; a model without a provider, key or price.
        RunnerError: there are not so many GPUs.
    """
    terms = group.terms
    Allowed.of(terms.network)
    if terms.network and not runner.isolation.network:
        raise UsageError(
            f"the {runner.id} runner does not close the network, so --network has no meaning; leave it out"
        )
    if terms.record is not None and terms.replay is not None:
        raise UsageError("--record and --replay exclude each other")
    if terms.replay is not None and not Path(terms.replay).is_dir():
        raise UsageError(f"--replay {terms.replay}: no directory of recorded exchanges is there")
    if here:
        GpuPool().check(group.limits.gpus)
    asked = [models_of(group.model, *registry.scaffold(agent)) for agent in group.agents]
    if any(models is not None for models in asked):
        from mleb_core.gateway import Gateway

        # A gateway that is not started: it knows providers and prices.
        replay = Path(terms.replay) if terms.replay is not None else None
        gateway = Gateway(group_budget=terms.group_budget, replay=replay)
        for models in asked:
            if models is not None:
                gateway.check(models, terms.budget)


@dataclass
class Place:
    """What one run has of the services while its agent runs."""

    ledger: Ledger
    """What happens is written there."""
    channel: Channel | None = None
    """Its way to the gateway and the checker."""
    gpus: tuple[str, ...] = ()
    """Its GPUs."""
    budget: str | None = None
    """Which budget was reached, in one line; None: none."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when a budget was reached and the grace after it is over: the agent is to be ended."""
    usage: "Usage | None" = None
    """What it used of models; there once the place is closed."""
    timer: threading.Timer | None = None
    """Ends the grace."""


class Services:
    """The services of a group, for the time that one harness works on it. Used by many threads."""

    def __init__(
        self,
        group: RunGroup,
        layout: GroupLayout,
        runner: Runner,
        *,
        given_gpus: Callable[[RunKey], Sequence[str]] | None = None,
        bank: "Bank | None" = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Args:
        group: what was asked for.
        layout: the group's directory.
        runner: where its runs happen.
        given_gpus: the GPUs that an engine gave a run, as CUDA_VISIBLE_DEVICES names them; None: runs lease their own.
        bank: where the group's budget is kept, if it is shared with other processes.
        environ: where providers' keys are found; None: this process's environment.
        """
        self._group, self._layout, self._runner = group, layout, runner
        self._given_gpus, self._bank, self._environ = given_gpus, bank, environ
        self.gpus = GpuPool(busy=getattr(runner, "gpus_in_use", None))
        """The GPUs that runs lease."""
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._places: dict[RunKey, Place] = {}
        self._gateway: Gateway | None = None
        self._egress: Egress | None = None
        self._pool: GradingPool | None = None
        self._checkers: dict[str, Checker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def place(  # noqa: PLR0917
        self,
        key: RunKey,
        layout: RunLayout,
        competition: Competition,
        models: Models | None,
        ledger: Ledger,
        stop: Stop,
        *,
        take_up: bool = False,
    ) -> Iterator[Place]:
        """Serve a run as long as the context lasts.

        Args:
            key: which run.
            layout: its directory; exists.
            competition: what its submissions are checked against.
            models: what its agent may ask; None: it has no model.
            ledger: told of every exchange, check, budget and host.
            stop: ends the wait for GPUs.
            take_up: its agent goes on, with the token and GPUs that it has.

        Raises:
            UsageError: a model cannot be served.
            RunnerError: sockets or GPUs cannot be had.
            RunGroupError: the run's directory cannot be written.
        """
        state = _read_state(layout) if take_up else {}
        with contextlib.ExitStack() as stack:
            ids = tuple(str(id) for id in state.get("gpus", ()))
            note = f"{self._layout.root} {key}"
            wanted = 0 if take_up else self._group.limits.gpus
            if wanted and self._given_gpus is not None:
                ids = self.gpus.named(self._given_gpus(key), wanted)
            place = Place(ledger, gpus=stack.enter_context(self.gpus.lease(wanted, ids=ids, stop=stop, note=note)))
            if ids and not take_up and (free := getattr(self._runner, "free_gpus", None)) is not None:
                free(ids)
            if models is not None or can_check():
                self._open_channel(place, key, layout, competition, models, state.get("token"), stack)
            elif self._group.terms.network:
                raise RunnerError("--network needs the model gateway; pip install 'mleb-core[gateway]'")
            yield place

    def _open_channel(  # noqa: PLR0917
        self,
        place: Place,
        key: RunKey,
        layout: RunLayout,
        competition: Competition,
        models: Models | None,
        former: str | None,
        stack: contextlib.ExitStack,
    ) -> None:
        gateway = self._running_gateway()
        _make_channel(layout)
        stack.callback(_remove_channel, layout)
        self._places[key] = place
        stack.callback(self._places.pop, key)
        token = gateway.register_run(
            key,
            layout,
            self._group.terms.budget,
            models=models or {},
            token=former,
            unix=layout.channel_socket,
            checker=self._checker(competition),
        )

        def close() -> None:
            place.usage = gateway.close_run(token)
            if place.timer is not None:
                place.timer.cancel()

        stack.callback(close)

        def environment(url: str) -> dict[str, str]:
            clients = gateway.environment(token, url) if models is not None else {}
            return {"MLEB_CHECKER_URL": url, "MLEB_TOKEN": token, **clients}

        proxy = None
        hosts = [host for host in self._group.terms.network if host != EVERYTHING]
        if hosts:
            proxy = layout.channel_proxy
            self._running_egress(hosts).open_run(proxy, place.ledger.add)
            stack.callback(self._running_egress(hosts).close_run, proxy)
        place.channel = Channel(
            socket=layout.channel_socket,
            url="" if self._runner.isolation.network else gateway.url,
            environment=environment,
            proxy=proxy,
        )
        state = {"run": str(layout.root.absolute()), "token": token, "gpus": place.gpus}
        write_json(layout.channel_state, state, durable=False)
        layout.channel_state.chmod(0o600)

    def _running_gateway(self) -> "Gateway":
        """The gateway, started for the first run that wants it: a group of plain programs need not wait for it."""
        with self._lock:
            if self._gateway is None:
                from mleb_core.gateway import Gateway, providers_from

                terms = self._group.terms
                shared = self._bank is not None
                gateway = Gateway(
                    providers=providers_from(self._environ) if self._environ is not None else None,
                    group_budget=terms.group_budget,
                    group_used=_used(self._layout) if terms.group_budget.limited and not shared else None,
                    group_meter=self._shared_meter(),
                    # A container needs no TCP, and what does not listen cannot be attacked.
                    host=None if self._runner.isolation.network else "127.0.0.1",
                    unix=None,
                    record=Path(terms.record) if terms.record is not None else None,
                    replay=Path(terms.replay) if terms.replay is not None else None,
                    on_exchange=self._on_exchange,
                    on_budget=self._on_budget,
                    on_check=self._on_check,
                )
                self._gateway = self._stack.enter_context(gateway)
            return self._gateway

    def _shared_meter(self) -> "Meter | None":
        if self._bank is None:
            return None
        from mleb_core.gateway.shared_budget import SharedMeter

        return SharedMeter("the run group", self._group.terms.group_budget, self._bank)

    def _running_egress(self, hosts: list[str]) -> Egress:
        with self._lock:
            if self._egress is None:
                self._egress = self._stack.enter_context(Egress(Allowed.of(hosts)))
            return self._egress

    def _checker(self, competition: Competition) -> Checker:
        with self._lock:
            if self._pool is None:  # one of its own, so that checks do not keep the group's grading waiting
                self._pool = self._stack.enter_context(GradingPool(workers=2, time_limit_s=120.0))
            if competition.label not in self._checkers:
                checker = Checker(competition, Path(self._group.data_dir), self._pool)
                self._checkers[competition.label] = self._stack.enter_context(checker)
            return self._checkers[competition.label]

    def _on_exchange(self, key: RunKey, line: bytes) -> None:
        if (place := self._places.get(key)) is not None:
            place.ledger.add(Kind.GATEWAY, **gateway_details(line))

    def _on_check(self, key: RunKey, facts: dict[str, Any]) -> None:
        if (place := self._places.get(key)) is not None:
            place.ledger.add(Kind.CHECK, **{f"asked_{name}" if name == "time" else name: facts[name] for name in facts})

    def _on_budget(self, key: RunKey, line: str) -> None:
        if (place := self._places.get(key)) is None:
            return
        place.budget = line
        place.ledger.add(Kind.BUDGET, message=line)
        place.timer = threading.Timer(self._group.terms.budget_grace_s, place.over.set)
        place.timer.daemon = True  # a harness that breaks must not wait for it
        place.timer.start()


def _used(layout: GroupLayout) -> "Usage":
    """What the runs of a group have used of models so far."""
    from mleb_core.gateway import Usage, usage_in

    models: dict[str, Any] = {}
    for run in layout.runs():
        for name, one in usage_in(run.transcript).models.items():
            models[name] = models[name] + one if name in models else one
    return Usage.of(models)


def _make_channel(layout: RunLayout) -> None:
    """Make the directory of a run's sockets, which other users of the machine cannot enter.

    Raises:
        RunnerError: it cannot be made, or belongs to somebody else.
    """
    folder = layout.channel.parent
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise RunnerError(f"{folder} must be a directory of your own with mode 700; remove it")
        layout.channel.mkdir(mode=0o755, exist_ok=True)
    except OSError as error:
        raise RunnerError(f"{folder} cannot be made: {error.strerror or error}") from error


def _remove_channel(layout: RunLayout) -> None:
    remove_tree(layout.channel)
    layout.channel_state.unlink(missing_ok=True)


def _read_state(layout: RunLayout) -> dict[str, Any]:
    try:
        found = json.loads(layout.channel_state.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
