"""Registers the engine `ray`."""

from mleb_core import hookimpl
from mleb_ray.engine import RayEngine

__all__ = ["mleb_register_engines"]


@hookimpl
def mleb_register_engines() -> list[RayEngine]:
    """The engine."""
    return [RayEngine()]
