"""The observer `wandb`: a run group is a W&B group, each of its runs a run there."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from mleb_core.observing.protocol import Session, Watched
    from mleb_wandb.settings import Settings

__all__ = ["Wandb"]


class Wandb:
    """Tells Weights & Biases."""

    id = "wandb"
    summary = "Weights & Biases: a group of runs with configuration, scores, medals, tokens, money and resources."

    @property
    def settings_type(self) -> "type[Settings]":
        """The model of the settings; imported late because pydantic costs 100 ms."""
        from mleb_wandb.settings import Settings

        return Settings

    def check(self, settings: Mapping[str, Any]) -> None:
        """Look for a key where runs are to be sent.

        Raises:
            UsageError: nobody is logged in.
        """
        mode = self.settings_type.model_validate(dict(settings)).mode or os.environ.get("WANDB_MODE", "online")
        if mode != "online":
            return
        import wandb

        if not wandb.login(prompt=False, verify=False):
            raise UsageError(
                "observer wandb: nobody is logged in; `wandb login`, set WANDB_API_KEY, or --observe-set "
                "wandb.mode=offline"
            )

    def open(self, watched: "Watched") -> "Session":
        """Begin to observe; nothing is sent before the first run starts."""
        from mleb_wandb.session import WandbSession

        return WandbSession(watched, self.settings_type.model_validate(dict(watched.settings)))
