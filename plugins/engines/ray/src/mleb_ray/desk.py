"""The actor between a harness and its workers. It lives on the harness's node and dies with it.

It carries little: a few hundred bytes for each change of a run, a call for each process that waits for a stop, shares
of the budget. Results go to the group's directory, never through here.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from mleb_core.gateway.shared_budget import Amount, Answer, SharedBudget
from mleb_core.terms import Budget

__all__ = ["Desk", "DeskBank"]


class Desk:
    """What the harness tells its workers, and they it. All calls in one event loop, one after the other."""

    def __init__(self, budget: Budget, used: Mapping[str, Amount], environ: Mapping[str, str]) -> None:
        """Args:
        budget: what the group may use of models.
        used: before now, by run.
        environ: providers' keys and addresses, for the gateways on the nodes; kept in memory only.
        """
        self._bank, self._environ = SharedBudget(budget, used), dict(environ)
        self._news: list[str] = []
        self._begun: set[str] = set()
        self._served: dict[str, list[tuple[str, Amount]]] = {}
        self._holders: dict[str, str] = {}
        self._stop = asyncio.Event()

    async def environ(self) -> dict[str, str]:
        """Keys and addresses."""
        return self._environ

    # From workers

    async def begin(self, task: str, holder: str, key: str, used: Amount) -> bool:
        """A task has got its place. Returns whether it may start.

        Args:
            task: its name.
            holder: the process's gateway.
            key: its run.
            used: of models by that run so far.
        """
        if self._stop.is_set():
            return False
        self._begun.add(task)
        self._holders[task] = holder
        self._served.setdefault(holder, []).append((key, used))
        return True

    async def stopped(self) -> bool:
        """Waits until runs are to end."""
        return await self._stop.wait()

    async def tell(self, run: str) -> None:
        """A run has changed; as JSON."""
        self._news.append(run)

    async def end(self, task: str) -> None:
        """A task has ended; all that it told came before this."""
        self._begun.discard(task)
        self._holders.pop(task, None)

    async def lease(self, holder: str, used: Amount, need: Amount, alone: bool) -> Answer:
        """See `Bank.lease`."""
        return self._bank.lease(holder, used, need, alone=alone)

    async def give_back(self, holder: str, used: Amount) -> None:
        """See `Bank.give_back`."""
        self._bank.give_back(holder, used)

    # From the harness

    async def stop(self) -> None:
        """All runs are to end, none to start."""
        self._stop.set()

    async def news(self) -> tuple[list[str], list[str]]:
        """What was told since the last call, and the tasks that are under way."""
        news, self._news = self._news, []
        return news, list(self._begun)

    async def lost(self, task: str) -> tuple[str | None, list[tuple[str, Amount]]]:
        """A task's process is gone: its gateway, and the runs that this served, with what they had used before."""
        self._begun.discard(task)
        holder = self._holders.pop(task, None)
        return holder, self._served.pop(holder, []) if holder is not None else []

    async def forget(self, holder: str, used: Amount) -> None:
        """What a lost gateway used in truth."""
        self._bank.forget(holder, used)


class DeskBank:
    """The bank as the gateway of a worker asks for it."""

    def __init__(self, desk: Any, holder: str) -> None:
        """Args:
        desk: the actor.
        holder: this process's gateway.
        """
        self._desk, self.holder = desk, holder

    def lease(self, holder: str, used: Amount, need: Amount, *, alone: bool) -> Answer:
        """See `Bank.lease`."""
        import ray

        answer: Answer = ray.get(self._desk.lease.remote(holder, used, need, alone), timeout=60)
        return answer

    def give_back(self, holder: str, used: Amount) -> None:
        """See `Bank.give_back`."""
        import ray

        ray.get(self._desk.give_back.remote(holder, used), timeout=60)
