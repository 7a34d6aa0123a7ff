"""Budgets, kept also when many requests are under way at once. All of it runs in the gateway's event loop."""

import asyncio
from collections.abc import Sequence

from mleb_core.gateway.records import Budget, Tokens

__all__ = ["BudgetReached", "Hold", "Meter", "Till"]


class BudgetReached(Exception):
    """A budget is used up; the message is what the agent is told."""


class Hold:
    """What a request that is under way may use: held back until it is known what it did use."""

    def __init__(self, tokens: Tokens, cost_usd: float | None) -> None:
        """Args:
        tokens: estimate.
        cost_usd: estimate; None where the price is unknown.
        """
        self.tokens, self.cost_usd = tokens.total, cost_usd or 0.0


class Meter:
    """One budget and what is used of it."""

    def __init__(self, owner: str, budget: Budget) -> None:
        """Args:
        owner: whose it is, in words ("this run").
        budget: what there is.
        """
        self.owner, self.budget = owner, budget
        self.requests, self.tokens, self.cost_usd = 0, 0, 0.0
        self.holds: set[Hold] = set()

    def reached(self) -> str | None:
        """What is used up, in one line; None: there is some of everything left."""
        budget = self.budget
        if budget.requests is not None and self.requests >= budget.requests:
            return f"budget reached: {self.owner} has made {self.requests:,} of {budget.requests:,} model calls"
        if budget.tokens is not None and self.tokens >= budget.tokens:
            return f"budget reached: {self.owner} has used {self.tokens:,} of {budget.tokens:,} tokens"
        if budget.cost_usd is not None and self.cost_usd >= budget.cost_usd:
            return f"budget reached: {self.owner} has used ${self.cost_usd:.4f} of ${budget.cost_usd:.4f}"
        return None

    def fits(self, hold: Hold) -> bool:
        """Whether a request may start now: nothing else is under way, or all of it together stays within the budget."""
        if not self.holds:
            return True
        budget = self.budget
        tokens = self.tokens + hold.tokens + sum(other.tokens for other in self.holds)
        cost = self.cost_usd + hold.cost_usd + sum(other.cost_usd for other in self.holds)
        return (budget.tokens is None or tokens <= budget.tokens) and (
            budget.cost_usd is None or cost <= budget.cost_usd
        )

    def settle(self, hold: Hold, tokens: Tokens, cost_usd: float | None) -> None:
        """A request has ended: what it held is free again, what it used is counted."""
        self.holds.discard(hold)
        self.tokens += tokens.total
        self.cost_usd += cost_usd or 0.0

    def attach(self, till: "Till") -> None:
        """Told of the till where requests wait; for a meter that others can change."""


class Till:
    """Lets requests through while their meters allow it.

    A request that would fit were it alone, but not beside those under way, waits for them. So a budget is passed by no
    more than one request's use, plus the error of the estimates of those that ran beside it.
    """

    def __init__(self) -> None:
        """For one event loop."""
        self._changed = asyncio.Event()

    def admit(self, meters: Sequence[Meter], hold: Hold) -> bool:
        """Count a request if it may start now. Returns whether it may; if not, wait for `changed` and ask again.

        Raises:
            BudgetReached: a budget is used up.
        """
        for meter in meters:
            if why := meter.reached():
                raise BudgetReached(why)
        if not all(meter.fits(hold) for meter in meters):
            return False
        for meter in meters:
            meter.requests += 1
            meter.holds.add(hold)
        return True

    @property
    def changed(self) -> asyncio.Event:
        """Set when the next request under way has ended."""
        return self._changed

    def settle(self, meters: Sequence[Meter], hold: Hold, tokens: Tokens, cost_usd: float | None) -> None:
        """A request has ended: what it held is free again, what it used is counted."""
        for meter in meters:
            meter.settle(hold, tokens, cost_usd)
        self.wake()

    def wake(self) -> None:
        """Let those who wait ask again."""
        self._changed.set()
        self._changed = asyncio.Event()
