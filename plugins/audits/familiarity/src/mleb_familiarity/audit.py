"""The audit `familiarity`, as it is registered: light, for it is made wherever ids are looked up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mleb_core.audits.findings import Finding
    from mleb_core.audits.protocol import AuditedRuns
    from mleb_core.run import RunKey
    from mleb_familiarity.in_findings import FamiliaritySettings

__all__ = ["FamiliarityAudit"]


class FamiliarityAudit:
    """Does the model know the competitions, and do scores go with it?"""

    id = "familiarity"
    summary = "How well the model knows texts on the competitions, and whether scores go with it: .passages=FOLDER."

    @property
    def settings_type(self) -> "type[FamiliaritySettings]":
        """What `--set familiarity.KEY=VALUE` may give."""
        from mleb_familiarity.in_findings import FamiliaritySettings

        return FamiliaritySettings

    def audit_runs(self, runs: "AuditedRuns") -> "Iterator[tuple[RunKey | None, Finding]]":
        """Of the group: the familiarity of each competition, and for each agent its relation to scores."""
        from mleb_familiarity.in_findings import findings

        return findings(runs)
