"""The audit `plagiarism`, as it is registered: light, for it is made wherever ids are looked up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mleb_core.audits.findings import Finding
    from mleb_core.audits.protocol import AuditedRuns
    from mleb_core.run import RunKey
    from mleb_plagiarism.in_findings import PlagiarismSettings

__all__ = ["PlagiarismAudit"]


class PlagiarismAudit:
    """Is the code of runs copied from public solutions?"""

    id = "plagiarism"
    summary = "Code that stands in public solutions: --set plagiarism.corpus=FOLDER, or .kaggle=50 notebooks by votes."

    @property
    def settings_type(self) -> "type[PlagiarismSettings]":
        """What `--set plagiarism.KEY=VALUE` may give."""
        from mleb_plagiarism.in_findings import PlagiarismSettings

        return PlagiarismSettings

    def audit_runs(self, runs: "AuditedRuns") -> "Iterator[tuple[RunKey | None, Finding]]":
        """Each run's suspects with their passages, and how similar it is at most."""
        from mleb_plagiarism.in_findings import findings

        return findings(runs)
