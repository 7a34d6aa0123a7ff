"""One budget that gateways of several processes share.

The `Bank` knows what there is, what each gateway has used and what it holds. A gateway takes a share from it, lets
requests through within its share without asking anybody, and gives back what it does not need when nothing of it is
under way. Shares shrink as the budget runs out, so that no gateway sits on what another needs.

The promise is that of one gateway (`budgets`): a budget is passed by at most the one request that reaches it, plus the
error of the estimates of those beside it. A request for which nothing is left waits while others hold shares.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from mleb_core.gateway.budgets import Hold, Meter, Till
from mleb_core.gateway.records import Budget, Tokens

__all__ = ["Amount", "Answer", "Bank", "SharedBudget", "SharedMeter"]

PARTS = 4
"""A share is at most this part of what is free, divided by the number of gateways that hold one."""
IDLE_S = 0.5
"""Seconds without a request under way after which a share is given back."""
WAIT_S = 0.25
"""Seconds between two asks where others hold what is left."""


@dataclass(frozen=True)
class Amount:
    """So much of models."""

    requests: int = 0
    """Model calls."""
    tokens: int = 0
    """Input and output tokens together."""
    cost_usd: float = 0.0
    """US dollars."""

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.requests + other.requests, self.tokens + other.tokens, self.cost_usd + other.cost_usd)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.requests - other.requests, self.tokens - other.tokens, self.cost_usd - other.cost_usd)

    def at_least(self, other: "Amount") -> "Amount":
        """The larger of both, kind by kind."""
        return Amount(
            max(self.requests, other.requests), max(self.tokens, other.tokens), max(self.cost_usd, other.cost_usd)
        )


NOTHING = Amount()


@dataclass(frozen=True)
class Answer:
    """What the bank says."""

    granted: Amount = NOTHING
    """What the gateway has in all, what it used included."""
    wait: bool = False
    """Whether others hold what is left: to be asked again."""
    reached: str | None = None
    """Which budget is used up, in one line."""


class Bank(Protocol):
    """The shared budget as a gateway asks for it; calls block, from any thread, and may fail with any exception."""

    @property
    def holder(self) -> str:
        """The name under which the gateway of this process is known there."""
        ...

    def lease(self, holder: str, used: Amount, need: Amount, *, alone: bool) -> Answer:
        """Ask for more.

        Args:
            holder: the gateway's name.
            used: by it so far.
            need: what it wants to have in all, `used` included.
            alone: whether nothing else of it is under way; what it held beyond `used` is given back then.
        """
        ...

    def give_back(self, holder: str, used: Amount) -> None:
        """Nothing is under way there: what it has used is counted, the rest is free again."""
        ...


class SharedBudget:
    """The bank itself, for one thread at a time."""

    def __init__(self, budget: Budget, used: Mapping[str, Amount] | None = None) -> None:
        """Args:
        budget: what there is.
        used: before this harness, by run.
        """
        self.budget = budget
        self._before = sum((used or {}).values(), NOTHING)
        self._holders: dict[str, tuple[Amount, Amount]] = {}

    @property
    def used(self) -> Amount:
        """By all, as far as it was told."""
        return sum((used for used, _ in self._holders.values()), self._before)

    def lease(self, holder: str, used: Amount, need: Amount, *, alone: bool) -> Answer:
        """See `Bank.lease`."""
        granted = self._holders.get(holder, (NOTHING, NOTHING))[1].at_least(used)
        if alone:
            # What it held and did not use is free again: two that each wait for the other's rest would wait for ever.
            granted = used
        self._holders[holder] = (used, granted)
        spent = self.used
        meter = Meter("the run group", self.budget)
        meter.requests, meter.tokens, meter.cost_usd = spent.requests, spent.tokens, spent.cost_usd
        if line := meter.reached():
            return Answer(granted, reached=line)
        held = sum((has - has_used for has_used, has in self._holders.values()), NOTHING)
        taken = spent + held
        new, waits = granted, False
        active = sum(has != spent_there for name, (spent_there, has) in self._holders.items() if name != holder)
        for name in ("requests", "tokens", "cost_usd"):
            there, wanted = getattr(self.budget, name), getattr(need, name) - getattr(granted, name)
            if there is None or wanted <= 0:
                continue
            free = there - getattr(taken, name)
            if wanted > free and not (alone and active == 0):
                waits = True
                continue
            share = free / (PARTS * (active + 1))
            give = max(wanted, share if name == "cost_usd" else int(share))
            new = Amount(**(vars(new) | {name: getattr(granted, name) + give}))
        if waits:
            return Answer(granted, wait=True)
        self._holders[holder] = (used, new)
        return Answer(new)

    def give_back(self, holder: str, used: Amount) -> None:
        """See `Bank.give_back`."""
        self._holders[holder] = (used, used)

    def forget(self, holder: str, used: Amount) -> None:
        """A gateway is gone: what it used, as its transcripts tell, and nothing held."""
        self._holders[holder] = (used.at_least(self._holders.get(holder, (NOTHING, NOTHING))[0]),) * 2


class SharedMeter(Meter):
    """A gateway's side of a shared budget; all of it in the gateway's event loop."""

    def __init__(self, owner: str, budget: Budget, bank: Bank) -> None:
        """Args:
        owner: whose budget it is, in words.
        budget: the whole of it.
        bank: where shares are had.
        """
        super().__init__(owner, budget)
        self._bank = bank
        self._granted = NOTHING
        self._line: str | None = None
        self._till: Till | None = None
        self._asking: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None

    def attach(self, till: Till) -> None:
        """Those who wait are woken there."""
        self._till = till

    def reached(self) -> str | None:
        """As the bank said."""
        return self._line

    def fits(self, hold: Hold) -> bool:
        """Whether the share suffices; if not, more is asked for, and who waits is woken once there is an answer."""
        need = self._under_way() + Amount(1, hold.tokens, hold.cost_usd)
        limited = [name for name in vars(need) if getattr(self.budget, name) is not None]
        if self._asking is None and all(getattr(need, name) <= getattr(self._granted, name) for name in limited):
            return True
        if not limited:
            return True
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask(need))
        return False

    def settled(self) -> None:
        """A request has ended, or what was asked for is there."""
        if not self.holds and self._returning is None:
            self._returning = asyncio.get_running_loop().create_task(self._return())

    def _used(self) -> Amount:
        return Amount(self.requests, self.tokens, self.cost_usd)

    def _under_way(self) -> Amount:
        held = Amount(0, sum(hold.tokens for hold in self.holds), sum(hold.cost_usd for hold in self.holds))
        return self._used() + held

    async def _ask(self, need: Amount) -> None:
        answer = Answer(self._granted, wait=True)
        # A bank that does not answer is gone with its harness: this one is about to end as well. Nothing goes through.
        with contextlib.suppress(Exception):
            answer = await asyncio.to_thread(
                self._bank.lease, self._bank.holder, self._used(), need, alone=not self.holds
            )
        if answer.wait:
            await asyncio.sleep(WAIT_S)
        self._granted, self._line = answer.granted, answer.reached
        self._asking = None
        if self._till is not None:
            self._till.wake()
        self.settled()  # who asked may have gone away meanwhile

    async def _return(self) -> None:
        await asyncio.sleep(IDLE_S)
        task, self._returning = self._returning, None
        if self.holds or self._asking is not None:
            return  # the end of either calls `settled`
        self._asking = task  # no request passes meanwhile: what it were granted would be given back
        used = self._granted = self._used()
        with contextlib.suppress(Exception):  # as above
            await asyncio.to_thread(self._bank.give_back, self._bank.holder, used)
        self._asking = None
        if self._till is not None:
            self._till.wake()

    def settle(self, hold: Hold, tokens: Tokens, cost_usd: float | None) -> None:
        """As `Meter.settle`."""
        super().settle(hold, tokens, cost_usd)
        self.settled()
