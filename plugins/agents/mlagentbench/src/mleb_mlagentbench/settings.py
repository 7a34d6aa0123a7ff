"""Settings of the research agent, as the harness checks them (`--set KEY=VALUE`)."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """What a user may set. What no default is published for is mleb's choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=2000, ge=1)
    """Steps, of one action each, at most; 2000 as MLE-bench ran it."""
    script_s: float = Field(default=32400, gt=0)
    """Wall-clock seconds of one script at most, never more than are left; 9 hours, which MLE-bench gave AIDE's
    programs."""
    recent_steps: int = Field(default=3, ge=1)
    """Steps that the model is shown in full; older ones are summarised into the research log."""
    reply_tries: int = Field(default=5, ge=1)
    """Replies in a row, to one and the same step, that may lack the form before the agent is ended."""
    log_chars: int = Field(default=20_000, ge=1000)
    """Characters of the research log; the model shortens what is longer."""
    context_chars: int = Field(default=200_000, ge=4000)
    """Characters of one request at most; of what the last steps saw, the oldest is shortened first."""
    output_chars: int = Field(default=10_000, ge=200)
    """Characters of what one action shows: its beginning and its end."""
    file_chars: int = Field(default=40_000, ge=1000)
    """Characters of a file that the model is given at once to understand or edit it."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Temperature of the model; None: the provider's, for some models take none."""
    model_tries: int = Field(default=6, ge=1)
    """Requests in a row that may fail before the agent is ended, beyond what the gateway tries again itself; the pauses
    between them grow to 60 s."""
