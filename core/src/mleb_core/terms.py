"""What the runs of a group may reach and what is kept of them, beside the limits of time, memory and the like."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from mleb_core.errors import UsageError
from mleb_core.units import parse_count

__all__ = ["Budget", "Terms", "budget_of"]

_KINDS = {"tokens": "tokens", "usd": "cost_usd", "requests": "requests"}


class Budget(BaseModel):
    """What a run, or a run group, may use of models. None: as much as it likes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tokens: int | None = Field(None, ge=0)
    """Input and output tokens together."""
    cost_usd: float | None = Field(None, ge=0)
    """Money in US dollars."""
    requests: int | None = Field(None, ge=0)
    """Model calls; what the gateway tries again counts once."""

    @property
    def limited(self) -> bool:
        """Whether it limits anything."""
        return any(value is not None for value in (self.tokens, self.cost_usd, self.requests))


class Terms(BaseModel):
    """The terms on which agents run. A report carries them, for they decide what a score means."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    network: tuple[str, ...] = ()
    """Hosts that agents may reach beside the gateway (`pypi.example`, `*.example`, `host:port`); `*`: everything."""
    budget: Budget = Budget()
    """What each run may use of models."""
    group_budget: Budget = Budget()
    """What all runs together may use of models."""
    budget_grace_s: float = Field(600.0, ge=0)
    """Seconds that an agent has to end by itself once it was told that its budget is used up."""
    snapshot_s: float | None = Field(600.0, gt=0)
    """Seconds between copies of a submission that changed; None: no copies."""
    image: str | None = None
    """Base image asked for instead of mleb's own."""
    privileged: bool = False
    """Whether scaffolds that need privileged containers get them."""
    record: str | None = None
    """Directory where model exchanges are recorded, to be replayed later."""
    replay: str | None = None
    """Directory of recorded exchanges that agents get instead of providers' replies."""
    obfuscated: bool = False
    """Whether agents see the competition without title, story and source, under a neutral id."""


def budget_of(
    pairs: Iterable[str], name: str = "--budget", *, max_cost: float | None = None, max_tokens: float | None = None
) -> Budget:
    """A budget from `tokens=2M`, `usd=10`, `requests=500`; k, M and G are thousands, millions, billions.

    Args:
        pairs: the texts.
        name: of the option, for messages.
        max_cost: US dollars, as `usd=`.
        max_tokens: as `tokens=`.

    Raises:
        UsageError: not such a pair, or one kind is given twice.
    """
    short = {"usd": ("--max-cost", max_cost), "tokens": ("--max-tokens", max_tokens)}
    found = {_KINDS[kind]: amount for kind, (_, amount) in short.items() if amount is not None}
    for pair in pairs:
        kind, _, text = pair.partition("=")
        try:
            amount = parse_count(text) if kind in _KINDS else None
        except UsageError:
            amount = None
        if amount is None:
            raise UsageError(f"{name} {pair!r}: expected tokens=N, usd=N or requests=N, such as tokens=2M")
        if _KINDS[kind] in found:
            also = f"; {short[kind][0]} is the same" if kind in short and short[kind][1] is not None else ""
            raise UsageError(f"{name} {kind} was given twice{also}")
        if kind != "usd" and amount != int(amount):
            raise UsageError(f"{name} {pair!r}: {kind} are whole")
        found[_KINDS[kind]] = amount
    if max_tokens is not None and max_tokens != int(max_tokens):
        raise UsageError(f"--max-tokens {max_tokens:g}: tokens are whole")
    return Budget(
        tokens=int(found["tokens"]) if "tokens" in found else None,
        cost_usd=found.get("cost_usd"),
        requests=int(found["requests"]) if "requests" in found else None,
    )
