"""What `--observe-set wandb.KEY=VALUE` may say."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Settings"]


class Settings(BaseModel):
    """Keys are no settings: they come from WANDB_API_KEY or `wandb login`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str = Field("mleb", min_length=1, max_length=128)
    """Project that the runs belong to."""
    entity: str | None = None
    """User or team; None: the default of whoever is logged in."""
    mode: Literal["online", "offline"] | None = None
    """Whether runs are sent at once or kept in the group's directory for `wandb sync`; None: as WANDB_MODE says, else
    online."""
    tags: list[str] = []
    """Tags of every run."""
    artifacts: bool = False
    """Whether the submission and the report of each run are kept there too."""
