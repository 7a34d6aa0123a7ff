"""The harness's side of runs on a cluster: what is under way, what became of it, what is tried again."""

import secrets
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mleb_core.engine.protocol import Execute, Portable
from mleb_core.errors import RunGroupError, RunnerError
from mleb_core.execute import UNDER_WAY
from mleb_core.gateway.shared_budget import Amount
from mleb_core.run import Run, RunKey
from mleb_core.runner.protocol import Stop
from mleb_core.terms import Budget
from mleb_ray.cluster import Node, Request, nodes, place_for
from mleb_ray.desk import Desk
from mleb_ray.worker import Trouble, carry, sweep

__all__ = ["Spreading"]

CALLS = 100_000
"""Calls that may wait at the desk: one for each process on the nodes."""
WAIT_S = 0.5
"""Seconds after which a stop and news are noticed at the latest."""
CANCEL_S = 5.0
"""Seconds after a stop in which runs that wait for a place may still see it themselves."""
NODES_S = 5.0
"""Seconds between two looks whether there is a node for runs that wait."""
MOST_LOST = 10
"""Times that the process of a run may be lost in one launch, whatever the group's retries say."""
SWEEP_S = 120.0
"""Seconds that clearing away on a node may take; the run is then tried again elsewhere all the same."""


@dataclass(frozen=True)
class Task:
    """One task of Ray's."""

    name: str
    """Ours for it."""
    key: RunKey
    """Its run."""
    lost: str = ""
    """Why the run's former process is gone."""
    sweeps: bool = False
    """Whether it only clears away."""
    since: float = 0.0
    """When it was handed to Ray."""


class Spreading:
    """The runs of one launch. For one thread."""

    def __init__(
        self,
        execute: Execute,
        request: Request,
        stop: Stop,
        environ: Mapping[str, str],
        *,
        patience_s: float,
        data_url: str | None,
    ) -> None:
        """Args:
        execute: carries a run; is sent to the nodes.
        request: what each run asks of a node.
        stop: ends the group early.
        environ: providers' keys and addresses, for the nodes' gateways.
        patience_s: seconds to wait for a node that could hold a run once there is none.
        data_url: where nodes fetch prepared data; None: they have it.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as At

        self._execute, self._request, self._stop, self._patience_s = execute, request, stop, patience_s
        self._data_url = data_url
        self._here = execute if isinstance(execute, Portable) else None
        own = At(ray.get_runtime_context().get_node_id(), soft=False)
        budget = self._here.budget if self._here is not None else Budget()
        used = self._here.used() if self._here is not None else {}
        actor = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=own, max_restarts=0, max_concurrency=CALLS)
        self._desk: Any = actor.remote(budget, used, environ)
        # A task is never tried again by Ray: what it left is to be cleared away first.
        options = {"max_retries": 0, "scheduling_strategy": "SPREAD"}
        self._carry: Any = ray.remote(carry).options(**options, **request.options())
        self._sweep: Any = ray.remote(sweep)
        self._at = At
        self._keys: dict[str, RunKey] = {}
        self._waiting: deque[Task] = deque()
        self._tasks: dict[Any, Task] = {}
        self._begun: set[str] = set()
        self._losses: dict[RunKey, int] = {}
        self._failure: Exception | None = None
        self._stopped_at: float | None = None
        self._looked_at = time.monotonic()
        self._placeless_since: float | None = None

    def carry(self, keys: Sequence[RunKey], workers: int) -> Iterator[Run]:
        """Carry the runs; see `Engine.spread`."""
        import ray

        self._keys = {str(key): key for key in keys}
        self._waiting.extend(self._first(key) for key in keys)
        try:
            place_for(self._request)
            while True:
                while self._waiting and len(self._tasks) < workers and not self._stop.is_set():
                    self._start(self._waiting.popleft())
                if not self._tasks:
                    break
                ready, _ = ray.wait(list(self._tasks), num_returns=1, timeout=WAIT_S)
                if ready:  # whatever else has ended by now
                    ready, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
                self._hear()
                for reference in ready:
                    run = self._ended(self._tasks.pop(reference), reference)
                    if run is not None:
                        yield run
                self._look()
        except BaseException as error:
            self._stop.set()
            if not isinstance(error, ray.exceptions.RayError):
                self._wait_for_the_rest()
                raise
            raise RunnerError(f"the Ray cluster is gone: {_line(error)}; --resume goes on elsewhere") from error
        finally:
            ray.kill(self._desk)
        if self._failure is not None:
            raise self._failure

    # Start

    def _first(self, key: RunKey) -> Task:
        """A run as this launch meets it; what a dead harness left of it is cleared away first."""
        standing = self._here.standing(key) if self._here is not None else None
        return Task(secrets.token_hex(8), key, sweeps=standing is not None and standing.status in UNDER_WAY)

    def _start(self, task: Task) -> None:
        task = Task(secrets.token_hex(8), task.key, task.lost, task.sweeps, time.monotonic())
        if task.sweeps:
            node = self._node_of(task.key)
            if node is not None:
                options = {"num_cpus": 0, "max_retries": 0, "scheduling_strategy": self._at(node.id, soft=False)}
                self._tasks[self._sweep.options(**options).remote(self._here, self._desk, task.key)] = task
                return
            task = Task(task.name, task.key, task.lost, False, task.since)
        reference = self._carry.remote(self._execute, self._desk, task.name, task.key, task.lost, self._data_url)
        self._tasks[reference] = task

    def _node_of(self, key: RunKey) -> Node | None:
        """The node where a run was, or another one of the same machine; None: none is there."""
        assert self._here is not None
        place = self._here.last_place(key)
        there = nodes()
        for node in there:
            if node.id == place.get("node"):
                return node
        return next(
            (node for node in there if (node.host, node.address) == (place.get("host"), place.get("address"))), None
        )

    # End

    def _ended(self, task: Task, reference: Any) -> Run | None:
        """What a task came to: a run that has ended, or None."""
        import ray
        from ray.exceptions import ActorDiedError, RayError, RayTaskError

        try:
            found = ray.get(reference)
        except RayError as error:
            cause = getattr(error, "cause", None) if isinstance(error, RayTaskError) else None
            if isinstance(cause, ActorDiedError) or isinstance(error, ActorDiedError):
                raise
            if task.sweeps:
                self._again(task, sweeps=False)
                return None
            return self._lost(task, _why(error))
        if task.sweeps:  # what could not be cleared away is the node's to report: its GPUs are looked at before use
            self._again(task, sweeps=False)
            return None
        if isinstance(found, Run):
            return found
        if isinstance(found, Trouble):
            return self._trouble(task, found)
        return None

    def _trouble(self, task: Task, trouble: Trouble) -> Run | None:
        if trouble.kind == "run":
            return self._lost(task, trouble.message)
        kind = RunGroupError if trouble.kind == "group" else RunnerError
        self._failure = self._failure or kind(trouble.message)
        self._stop.set()
        return None

    def _lost(self, task: Task, why: str) -> Run | None:
        """The process of a run is gone. Gives the run if it had ended all the same."""
        self._settle_budget(task)
        if self._here is not None:
            standing = self._here.standing(task.key)
            if standing is not None and standing.settled:
                return standing
        self._losses[task.key] = self._losses.get(task.key, 0) + 1
        if self._losses[task.key] > MOST_LOST:
            self._failure = self._failure or RunnerError(f"{task.key} was lost {MOST_LOST} times: {why}")
            self._stop.set()
            return None
        self._again(Task(task.name, task.key, why), sweeps=self._here is not None)
        return None

    def _again(self, task: Task, *, sweeps: bool) -> None:
        if not self._stop.is_set():
            self._waiting.appendleft(Task(task.name, task.key, task.lost, sweeps))

    def _settle_budget(self, task: Task) -> None:
        """Count what a lost gateway used in truth, by the transcripts."""
        import ray

        holder, served = ray.get(self._desk.lost.remote(task.name))
        if holder is None or self._here is None:
            return
        used = Amount()
        for name, before in served:
            used += self._here.used_by(self._keys[name]) - before
        ray.get(self._desk.forget.remote(holder, used))

    # Meanwhile

    def _hear(self) -> None:
        """Pass on what the workers told."""
        import ray

        news, begun = ray.get(self._desk.news.remote())
        self._begun = set(begun)
        told = getattr(self._execute, "on_change", None)
        if told is not None:
            for line in news:
                told(Run.model_validate_json(line))

    def _look(self) -> None:
        """Pass a stop on; give up where no node is left."""
        import ray

        now = time.monotonic()
        if self._stop.is_set():
            if self._stopped_at is None:
                self._stopped_at = now
                ray.get(self._desk.stop.remote())
            elif now > self._stopped_at + CANCEL_S:
                for reference, task in self._tasks.items():
                    if task.name not in self._begun:
                        ray.cancel(reference)
        for reference, task in list(self._tasks.items()):
            if task.sweeps and now > task.since + SWEEP_S:
                ray.cancel(reference, force=True)
        if now > self._looked_at + NODES_S:
            self._looked_at = now
            self._look_for_nodes(now)

    def _look_for_nodes(self, now: float) -> None:
        waiting = any(task.name not in self._begun and not task.sweeps for task in self._tasks.values())
        try:
            if waiting:
                place_for(self._request)
            self._placeless_since = None
        except RunnerError as error:
            self._placeless_since = self._placeless_since or now
            if now > self._placeless_since + self._patience_s:
                self._failure = self._failure or error
                self._stop.set()

    def _wait_for_the_rest(self) -> None:
        """Nobody wants the results any more, but the runs are to end before the group is let go."""
        import ray
        from ray.exceptions import RayError

        while self._tasks:
            try:
                ready, _ = ray.wait(list(self._tasks), num_returns=1, timeout=WAIT_S)
                for reference in ready:
                    self._tasks.pop(reference)
                self._hear()
                self._look()
            except RayError:
                return


def _why(error: Exception) -> str:
    """In one line, why a run's process is gone."""
    from ray import exceptions

    for kind, text in (
        (exceptions.TaskCancelledError, "its task was cancelled"),
        (exceptions.NodeDiedError, "its node died"),
        (exceptions.OutOfMemoryError, "its node was out of memory, and Ray ended it"),
        (exceptions.WorkerCrashedError, "its process was killed"),
        (exceptions.LocalRayletDiedError, "Ray ended on its node"),
    ):
        if isinstance(error, kind):
            return f"the run was lost: {text}"
    return f"the run was lost: {_line(error)[:500]}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
