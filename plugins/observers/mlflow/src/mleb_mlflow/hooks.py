"""Registers the observer `mlflow`."""

from mleb_core import hookimpl
from mleb_mlflow.observer import Mlflow

__all__ = ["mleb_register_observers"]


@hookimpl
def mleb_register_observers() -> list[Mlflow]:
    """The observer."""
    return [Mlflow()]
