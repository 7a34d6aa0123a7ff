"""Settings of the ReAct agent, as the harness checks them (`--set KEY=VALUE`)."""

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """What a user may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=50, ge=1)
    """Replies of the model at most."""
    command_s: float = Field(default=1800, gt=0)
    """Wall-clock seconds of one command at most."""
    output_chars: int = Field(default=8000, ge=200)
    """Characters of one command's output that the model is shown: its beginning and its end."""
    history_chars: int = Field(default=200_000, ge=2000)
    """Characters of the conversation that the model is shown; older outputs are left out first."""
