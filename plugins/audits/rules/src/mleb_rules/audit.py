"""The audit `rules`, as it is registered: light, for it is made wherever ids are looked up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mleb_core.audits.findings import Finding
    from mleb_core.audits.protocol import AuditedRuns
    from mleb_core.run import RunKey
    from mleb_rules.in_findings import RulesSettings

__all__ = ["RulesAudit"]


class RulesAudit:
    """Did the agents keep the rules?"""

    id = "rules"
    summary = "Broken rules: what a program can tell, and with --set rules.judge=MODEL a judge that quotes the log."

    @property
    def settings_type(self) -> "type[RulesSettings]":
        """What `--set rules.KEY=VALUE` may give."""
        from mleb_rules.in_findings import RulesSettings

        return RulesSettings

    def audit_runs(self, runs: "AuditedRuns") -> "Iterator[tuple[RunKey | None, Finding]]":
        """Signs of each run, then its judgement; of the group how far judgements agree."""
        from mleb_rules.in_findings import findings

        return findings(runs)
