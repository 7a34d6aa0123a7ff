"""Registers the audit."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mleb_core import hookimpl

if TYPE_CHECKING:
    from mleb_core.audits.protocol import Audit


@hookimpl
def mleb_register_audits() -> "Iterable[Audit]":
    """The audit `familiarity`."""
    from mleb_familiarity.audit import FamiliarityAudit

    return [FamiliarityAudit()]
