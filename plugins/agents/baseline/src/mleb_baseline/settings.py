"""Settings of the baseline agent, as the harness checks them (`--set KEY=VALUE`)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["ModelFamily", "Settings"]

ModelFamily = Literal["linear", "neighbours", "svm", "forest", "boosting", "network", "bayes", "process"]


class Settings(BaseModel):
    """What a user may set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_seconds: float | None = Field(default=None, gt=0)
    """Wall-clock seconds to use at most; None: the time limit of the run."""
    models: tuple[ModelFamily, ...] | None = None
    """Families of models to try; None: all."""
    n_jobs: int = Field(default=1, ge=1)
    """Threads to use."""

    @field_validator("models", mode="before")
    @classmethod
    def _names_in_one_text(cls, value: object) -> object:
        """`models=linear,forest` arrives as one text from the command line."""
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value
