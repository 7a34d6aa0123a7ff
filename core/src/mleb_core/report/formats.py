"""Reports to text and back; their JSON Schemas.

JSON is exact; CSV (one line a run) and Markdown (for people) make texts of agents harmless first.
"""

from typing import Any

from pydantic import BaseModel

from mleb_core.attest.models import Attestation, AttestationCheck
from mleb_core.audits.findings import AuditRecord
from mleb_core.errors import UnknownIdError
from mleb_core.report.load import load_group_report, load_run_report
from mleb_core.report.models import CompetitionReport, GradingReport, GroupReport, RunReport, RunSnapshots
from mleb_core.report.page import to_markdown
from mleb_core.report.standings import AgainstReport
from mleb_core.report.statistics.comparison import Comparison
from mleb_core.report.statistics.models import ReportWithFigures
from mleb_core.report.statistics.published import PublishedReport
from mleb_core.report.studies import StudyReport
from mleb_core.report.table import to_csv
from mleb_core.run import Run, RunGroup

__all__ = [
    "SCHEMAS",
    "load_group_report",
    "load_run_report",
    "schema",
    "to_csv",
    "to_json",
    "to_markdown",
]

SCHEMAS: dict[str, type[BaseModel]] = {
    "against-report": AgainstReport,
    "attestation": Attestation,
    "attestation-check": AttestationCheck,
    "audit-record": AuditRecord,
    "comparison": Comparison,
    "competition-report": CompetitionReport,
    "grading-report": GradingReport,
    "group": RunGroup,
    "group-report": GroupReport,
    "published-report": PublishedReport,
    "report": ReportWithFigures,
    "run": Run,
    "run-report": RunReport,
    "run-snapshots": RunSnapshots,
    "study-report": StudyReport,
}
"""Files and outputs with a schema, by the name that `schema` takes: `report` is what `mleb report --json` prints, and
`published-report` with --method mle-bench, `against-report` with --against; `comparison` is of `mleb compare`,
`study-report` of `mleb sweep`; `audit-record` is what `mleb audit runs` keeps of an audit, and
prints a list of; `attestation` is of `mleb attest`, `attestation-check` what its --check prints."""


def to_json(report: BaseModel) -> str:
    """Indented JSON with a final newline; reads back to an equal report."""
    return report.model_dump_json(indent=2) + "\n"


def schema(name: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a report as it is written.

    Args:
        name: one of `SCHEMAS`.

    Raises:
        UnknownIdError: there is no such report.
    """
    if name not in SCHEMAS:
        raise UnknownIdError("report", name, SCHEMAS)
    document = SCHEMAS[name].model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}
