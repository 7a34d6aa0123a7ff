"""The declared recipe language: what may stand under `[prepare]` of competition.toml."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Recipe"]


class Recipe(BaseModel):
    """`[prepare]`: how raw data becomes public and private files."""

    model_config = ConfigDict(extra="allow", frozen=True)
