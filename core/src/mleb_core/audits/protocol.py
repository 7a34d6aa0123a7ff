r"""What an audit is: an object that looks at prepared data, at finished runs, or at both. A whole one:

    class Empty:
        id = "empty"
        summary = "Finds submissions without a row."

        def audit_runs(self, runs):
            for key, place in runs.places():
                if place.submission.is_file() and place.submission.read_text().count("\n") < 2:
                    where = Evidence(file="submission/submission.csv")
                    yield key, Finding(rule="no-row", severity="warning", message="No row.", evidence=(where,))

    @hookimpl
    def mleb_register_audits():
        return [Empty()]

An audit may have a `settings_type`, a pydantic model of what `--set AUDIT.KEY=VALUE` may give.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mleb_core.audits.findings import Finding
from mleb_core.competition import Competition
from mleb_core.layout import CompetitionData, GroupLayout, RunLayout
from mleb_core.run import RunGroup, RunKey

__all__ = ["Audit", "AuditedData", "AuditedRuns", "DataAudit", "RunAudit"]


def _silent(line: str) -> None:
    pass


@dataclass(frozen=True)
class AuditedData:
    """The prepared data of one competition, to be read only."""

    competition: Competition
    """In the edition that is looked at."""
    data: CompetitionData
    """Where its data lies; `public` and `private` are there."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The audit's settings, as its `settings_type` took them."""
    progress: Callable[[str], None] = _silent
    """Told in a few words what is being done."""


@dataclass(frozen=True)
class AuditedRuns:
    """The runs of a group, to be read only. Everything in their directories may come from an agent: do not trust it."""

    group: RunGroup
    """What was asked for."""
    layout: GroupLayout
    """The group's directory."""
    keys: tuple[RunKey, ...]
    """The runs that have ended, in the order asked for."""
    competition: Callable[[str], Competition]
    """A competition of the group by its label; raises as `Registry.competition`."""
    data_dir: Path
    """Where the group's data was; it need not be there any more."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The audit's settings, as its `settings_type` took them."""
    progress: Callable[[str], None] = _silent
    """Told in a few words what is being done."""

    def places(self) -> Iterator[tuple[RunKey, RunLayout]]:
        """The runs with their directories."""
        for key in self.keys:
            yield key, self.layout.run(key.competition, key.agent, key.seed)


@runtime_checkable
class Audit(Protocol):
    """Looks at something and says what it found. It is a `DataAudit`, a `RunAudit`, or both."""

    id: str
    """Name for --audit."""
    summary: str
    """One line for listings."""


@runtime_checkable
class DataAudit(Audit, Protocol):
    """Looks at prepared data."""

    def audit_data(self, data: AuditedData) -> Iterable[Finding]:
        """Look at one competition's data. The same data gives the same findings.

        What is not looked at (a file that cannot be read, a part left out to keep time or memory bounded) is a finding
        of severity `info`.

        Raises:
            UsageError: a setting is wrong or missing. Any other exception is the audit's own fault.
        """
        ...


@runtime_checkable
class RunAudit(Audit, Protocol):
    """Looks at finished runs."""

    def audit_runs(self, runs: AuditedRuns) -> Iterable[tuple[RunKey | None, Finding]]:
        """Look at a group's runs; gives each finding with its run, None where it is about the group as a whole.

        A run whose files are missing or broken is no reason to stop: say so in a finding of severity `info`.

        Raises:
            UsageError: a setting is wrong or missing. Any other exception is the audit's own fault.
        """
        ...
