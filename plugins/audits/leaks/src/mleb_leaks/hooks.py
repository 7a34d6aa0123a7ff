"""Registers the audit `leaks`."""

from mleb_core import hookimpl
from mleb_leaks.audit import Leaks

__all__ = ["mleb_register_audits"]


@hookimpl
def mleb_register_audits() -> list[Leaks]:
    """The audit."""
    return [Leaks()]
