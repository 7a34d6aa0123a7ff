"""Registers the observer `wandb`."""

from mleb_core import hookimpl
from mleb_wandb.observer import Wandb

__all__ = ["mleb_register_observers"]


@hookimpl
def mleb_register_observers() -> list[Wandb]:
    """The observer."""
    return [Wandb()]
