"""What was not checked of a group, and what cannot be told from what it left."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from mleb_core.attest.models import Gap
from mleb_core.attest.seen import SeenRun
from mleb_core.audits.findings import AuditRecord
from mleb_core.registry import Registry
from mleb_core.report.models import GroupReport
from mleb_core.run import RunGroup, RunKey
from mleb_core.verify import VerifyReport

__all__ = ["find_gaps"]

_OPEN = {
    "files": "agents could read the host's files, the harness's and other runs' among them",
    "network": "agents could reach any host, and what they reached is not known",
    "memory": "no limit of memory was kept by the kernel",
    "processes": "processes of agents may have outlived their runs",
}
_FAULTS = {
    "torn": "the last line of the ledger was lost to a crash",
    "spoilt": "an earlier ledger did not hold, and was set aside",
    "late": "exchanges came to the ledger only after the harness was killed",
    "resources": "use of the machine was not recorded in full",
    "snapshot_failed": "a copy of the submission could not be kept",
}


def find_gaps(  # noqa: PLR0917
    group: RunGroup,
    report: GroupReport,
    seen: Sequence[SeenRun],
    verified: VerifyReport,
    records: Sequence[AuditRecord],
    broken: Sequence[str],
    registry: Registry,
    *,
    graded: bool,
) -> tuple[Gap, ...]:
    """Everything of a group that nobody looked at, or that its files do not tell.

    Args:
        group: what was asked for.
        report: made of the runs' reports.
        seen: the runs that are there.
        verified: what was recomputed.
        records: audits that were carried out.
        broken: a line for each file of an audit that cannot be read.
        registry: to tell which audits there are.
        graded: whether submissions were to be graded again.
    """
    return (
        *_runs(report, verified, graded=graded),
        *_ledgers(seen, verified),
        *_surroundings(group, seen),
        *_prices(seen),
        *_data(group),
        *_audits(seen, records, broken, registry),
    )


def _runs(report: GroupReport, verified: VerifyReport, *, graded: bool) -> Iterable[Gap]:
    if keys := tuple(run.key for run in report.missing):
        yield Gap(kind="run", what=f"{_of(keys)} without a verdict: counted as runs without a medal", runs=keys)
    if report.not_asked:
        what = f"{_of(report.not_asked)} in the directory that the group did not ask for: not looked at"
        yield Gap(kind="run", what=what, runs=report.not_asked)
    submitted = tuple(run.key for run in report.runs if run.competition_report and run.competition_report.graded)
    if not graded and submitted:
        yield Gap(kind="grade", what="no submission was graded again", runs=submitted)
    elif verified.graded_again < len(submitted):
        number = len(submitted) - verified.graded_again
        yield Gap(kind="grade", what=f"{number} of {len(submitted)} verdicts were not recomputed; verify says why")
    if any(note.what.startswith("the group has no report") for note in verified.notes):
        yield Gap(kind="report", what="the group has no report yet, so none was compared with the runs")


def _ledgers(seen: Sequence[SeenRun], verified: VerifyReport) -> Iterable[Gap]:
    if keys := tuple(run.key for run in seen if run.head is None):
        yield Gap(kind="ledger", what=f"{_of(keys)} without a ledger: as good as their files", runs=keys)
    for fault, what in _FAULTS.items():
        if keys := tuple(run.key for run in seen if fault in run.faults):
            yield Gap(kind="ledger", what=what, runs=keys)
    if verified.unfinished:
        what = f"{_of(verified.unfinished)} not finished: nothing of an end was compared"
        yield Gap(kind="run", what=what, runs=verified.unfinished)


def _surroundings(group: RunGroup, seen: Sequence[SeenRun]) -> Iterable[Gap]:
    if keys := tuple(run.key for run in seen if run.machine is None):
        yield Gap(kind="hardware", what=f"{_of(keys)} on hardware that was not recorded", runs=keys)
    if keys := tuple(run.key for run in seen if run.machine is not None and run.machine.get("gpus") is None):
        yield Gap(kind="hardware", what="GPUs of the machine could not be asked for", runs=keys)
    if keys := tuple(run.key for run in seen if run.isolation is None):
        yield Gap(kind="isolation", what=f"{_of(keys)} of which it is not known what was kept from agents", runs=keys)
    for name, what in _OPEN.items():
        if keys := tuple(run.key for run in seen if run.isolation is not None and name in run.isolation[2]):
            yield Gap(kind="isolation", what=f"{what} (runner {group.runner})", runs=keys)
    if keys := tuple(run.key for run in seen if run.privileged):
        yield Gap(kind="isolation", what="privileged containers isolate little", runs=keys)
    if "*" in group.terms.network:
        yield Gap(kind="isolation", what="the terms let agents reach every host")
    if group.terms.replay is not None:
        yield Gap(kind="setting", what="models' replies were recorded ones: no model was asked")


def _prices(seen: Sequence[SeenRun]) -> Iterable[Gap]:
    if keys := tuple(run.key for run in seen if any(call.cost_usd is None and not call.failed for call in run.calls)):
        yield Gap(kind="price", what="the price of a model is unknown, so what runs cost is, too", runs=keys)
    if keys := tuple(run.key for run in seen if any(call.estimated for call in run.calls)):
        yield Gap(kind="price", what="the provider did not tell all tokens; they are estimated", runs=keys)


def _data(group: RunGroup) -> Iterable[Gap]:
    if without := [label for label in group.competitions if label not in group.digests]:
        yield Gap(kind="data", what=f"no digest of the prepared data was recorded: {', '.join(without)}")
    what = "whether the prepared data gives its answers away (`mleb audit data`) is not kept with a group"
    yield Gap(kind="data", what=what)


def _audits(
    seen: Sequence[SeenRun], records: Sequence[AuditRecord], broken: Sequence[str], registry: Registry
) -> Iterable[Gap]:
    ended = {run.key: run.report.ended_at for run in seen if run.report is not None and run.report.status.ended}
    carried = {record.audit for record in records}
    there = [audit.id for audit in registry.audits.values() if hasattr(audit, "audit_runs")]
    for name in there:
        if name not in carried:
            yield Gap(kind="audit", what=f"audit {name} was not carried out")
    if not there:
        yield Gap(kind="audit", what="no audit of runs is installed here")
    for line in broken:
        yield Gap(kind="audit", what=f"what an audit found cannot be read: {line}")
    for record in records:
        if record.error is not None:
            yield Gap(kind="audit", what=f"audit {record.audit} came to no end: {record.error}")
        looked = {run.key for run in record.runs}
        if keys := tuple(key for key in ended if key not in looked):
            yield Gap(kind="audit", what=f"audit {record.audit} did not look at {_of(keys)}", runs=keys)
        if keys := tuple(key for key, end in ended.items() if key in looked and _is_after(end, record.created_at)):
            what = f"audit {record.audit} looked at {_of(keys)} before their present end"
            yield Gap(kind="audit", what=what, runs=keys)


def _is_after(end: str | None, time: str) -> bool:
    try:
        return end is not None and datetime.fromisoformat(end) > datetime.fromisoformat(time)
    except (ValueError, TypeError):
        return False


def _of(keys: Sequence[RunKey]) -> str:
    return f"{len(keys)} run{'s' if len(keys) != 1 else ''}"
