"""What the gateway counts: budgets, tokens and the usage of a run."""

from pydantic import BaseModel, ConfigDict, Field

from mleb_core.terms import Budget

__all__ = ["Budget", "ModelUsage", "Price", "Tokens", "Usage"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Price(_Frozen):
    """What a model costs, for models that genai-prices does not know. US dollars for a million tokens."""

    input: float = Field(ge=0)
    """Of input."""
    output: float = Field(0.0, ge=0)
    """Of output."""
    cached: float | None = Field(None, ge=0)
    """Of input read from a cache; None: as other input."""


class Tokens(_Frozen):
    """Tokens of one exchange, or of many."""

    input: int = Field(0, ge=0)
    """Input, all of it: what was read from or written to a cache is part of it."""
    output: int = Field(0, ge=0)
    """Output, hidden reasoning included."""
    cached: int = Field(0, ge=0)
    """How much of the input was read from a cache."""
    cache_written: int = Field(0, ge=0)
    """How much of the input was written to a cache."""
    reasoning: int = Field(0, ge=0)
    """How much of the output was hidden reasoning, where the provider says so."""

    @property
    def total(self) -> int:
        """Input and output."""
        return self.input + self.output

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(**{name: getattr(self, name) + getattr(other, name) for name in Tokens.model_fields})


class ModelUsage(_Frozen):
    """The use of one model."""

    requests: int = 0
    """Exchanges."""
    tokens: Tokens = Tokens()
    """Tokens, estimates included."""
    known_cost_usd: float = 0.0
    """Cost of the exchanges whose price is known."""
    unpriced: int = 0
    """Exchanges whose price is unknown."""
    estimated: int = 0
    """Exchanges whose tokens the provider did not tell: they are estimated from sizes (4 bytes a token)."""
    failed: int = 0
    """Exchanges that ended with an error, or with a cut stream."""
    retries: int = 0
    """How often the gateway asked again."""
    seconds: float = 0.0
    """Wall-clock seconds of the exchanges, summed."""

    def __add__(self, other: "ModelUsage") -> "ModelUsage":
        return ModelUsage(**{name: getattr(self, name) + getattr(other, name) for name in ModelUsage.model_fields})


class Usage(_Frozen):
    """usage.json: what a run used of models."""

    format_version: int = 1
    """Version of this file's format."""
    requests: int = 0
    """Model calls that were let through."""
    tokens: Tokens = Tokens()
    """Tokens of all of them, estimates included."""
    cost_usd: float | None = 0.0
    """Cost in US dollars; None: the price of at least one exchange is unknown."""
    known_cost_usd: float = 0.0
    """Cost of the exchanges whose price is known."""
    unpriced: int = 0
    """Exchanges whose price is unknown."""
    estimated: int = 0
    """Exchanges whose tokens the provider did not tell."""
    failed: int = 0
    """Exchanges that ended with an error, or with a cut stream."""
    retries: int = 0
    """How often the gateway asked again after a failure of the provider."""
    refused: int = 0
    """Requests that the gateway itself refused; they count as no model call."""
    seconds: float = 0.0
    """Wall-clock seconds of the exchanges, summed."""
    models: dict[str, ModelUsage] = {}
    """By `provider/name`."""
    budget_reached: str | None = None
    """Which budget was hit, as the agent was told; None: none was."""

    @classmethod
    def of(cls, models: dict[str, ModelUsage], *, refused: int = 0, budget_reached: str | None = None) -> "Usage":
        """The sum over models."""
        total = sum(models.values(), ModelUsage())
        return cls(
            requests=total.requests,
            tokens=total.tokens,
            cost_usd=None if total.unpriced else total.known_cost_usd,
            known_cost_usd=total.known_cost_usd,
            unpriced=total.unpriced,
            estimated=total.estimated,
            failed=total.failed,
            retries=total.retries,
            refused=refused,
            seconds=total.seconds,
            models=dict(models),
            budget_reached=budget_reached,
        )
