"""What the runs of a group may reach and what is kept of them, beside the limits of time, memory and the like."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Budget", "Terms"]


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
