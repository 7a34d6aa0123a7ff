"""Carrying audits out, and keeping what they found. One that fails stops no other, and is told."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from mleb_core.audits.findings import AuditRecord, Finding, RunFindings
from mleb_core.audits.protocol import Audit, AuditedData, AuditedRuns, DataAudit, RunAudit
from mleb_core.competition import Competition
from mleb_core.errors import MlebError, PluginError, RunGroupError, UsageError
from mleb_core.group_dir import held, is_reported
from mleb_core.layout import GroupLayout, write_whole
from mleb_core.prepare import require_prepared
from mleb_core.registry import Registry
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, write_group_reports
from mleb_core.report.models import Report
from mleb_core.run import RunKey, Text, now

__all__ = ["DataAuditReport", "audit_data", "audit_runs", "chosen_audits"]

Settings = Mapping[str, Mapping[str, Any]]
"""By audit."""


class DataAuditReport(Report):
    """What audits found in the prepared data of one competition."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    format_version: int = 1
    """Version of this format."""
    competition: str
    """Its label, edition included."""
    created_at: str
    """UTC, ISO 8601."""
    audits: tuple[str, ...]
    """Ids of the audits that were asked for."""
    findings: tuple[Finding, ...] = ()
    """By audit, in its order."""
    failed: Mapping[str, Text] = Field(default_factory=dict)
    """Why an audit came to no end, in one line, by its id."""

    def worst(self) -> str | None:
        """The gravest severity; None: nothing was found."""
        return next((s for s in ("serious", "warning", "info") if any(f.severity == s for f in self.findings)), None)


def chosen_audits(registry: Registry, names: Sequence[str], kind: type) -> list[Audit]:
    """The audits asked for, all of a kind where none is named.

    Args:
        registry: where they are found.
        names: ids.
        kind: `DataAudit` or `RunAudit`.

    Raises:
        UnknownIdError: there is no such audit.
        UsageError: it looks at other things, or none is installed.
        PluginError: the plugin that brings it does not work.
    """
    what, method = ("prepared data", "audit_data") if kind is DataAudit else ("runs", "audit_runs")
    if not names:
        found = [audit for audit in registry.audits.values() if hasattr(audit, method)]
        if not found:
            raise UsageError(f"no audit of {what} is installed (`mleb list audits`)")
        return found
    chosen = [registry.audit(name) for name in dict.fromkeys(names)]
    for audit in chosen:
        if not hasattr(audit, method):
            raise UsageError(f"audit {audit.id} does not look at {what}")
    return chosen


def audit_data(
    competition: Competition,
    data_dir: Path,
    registry: Registry,
    *,
    names: Sequence[str] = (),
    settings: Settings | None = None,
    progress: Callable[[str], None] | None = None,
) -> DataAuditReport:
    """Look at the prepared data of a competition.

    Raises:
        as `chosen_audits`; NotPreparedError: it was not prepared; UsageError: a setting is wrong.
    """
    audits = chosen_audits(registry, names, DataAudit)
    checked = _checked_settings(audits, settings or {})
    data = require_prepared(competition, data_dir)
    findings: list[Finding] = []
    failed: dict[str, str] = {}
    for audit in audits:
        assert isinstance(audit, DataAudit)
        given = AuditedData(competition, data, checked[audit.id], progress or (lambda line: None))
        error = _gathered(audit, partial(audit.audit_data, given), findings.append)
        if error is not None:
            failed[audit.id] = error
    return DataAuditReport(
        competition=competition.label,
        created_at=now(),
        audits=tuple(audit.id for audit in audits),
        findings=tuple(findings),
        failed=failed,
    )


def audit_runs(
    directory: Path,
    registry: Registry,
    *,
    names: Sequence[str] = (),
    settings: Settings | None = None,
    data_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[AuditRecord]:
    """Look at the runs of a group that have ended; keep what was found beside them, and in the group's report.

    An audit that was carried out before is replaced; those of other audits stay. The runs' own files are not touched.

    Args:
        directory: the group's.
        registry: where audits and competitions are found.
        names: ids of audits; all that look at runs where none is named.
        settings: by audit.
        data_dir: where the data is now, if not where the group had it.
        progress: told in a few words what is being done.

    Raises:
        as `chosen_audits`; RunGroupError: no group, a damaged one, one that a harness is at work on, or one that cannot
        be written; UsageError: a setting is wrong.
    """
    audits = chosen_audits(registry, names, RunAudit)
    checked = _checked_settings(audits, settings or {})
    layout = GroupLayout(directory)
    group, runs, _ = collect_group(directory)
    with held(directory):
        ended = {run.key for run in runs if run.status.ended}
        keys = tuple(key for key in group.run_keys() if key in ended)
        records = []
        for audit in audits:
            assert isinstance(audit, RunAudit)
            place = data_dir or Path(group.data_dir)
            tell = progress or (lambda line: None)
            given = AuditedRuns(group, layout, keys, registry.competition, place, checked[audit.id], tell)
            records.append(_record(audit, given, registry))
        try:
            for record in records:
                path = layout.audit(record.audit)
                path.parent.mkdir(exist_ok=True)
                write_whole(path, record.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise RunGroupError(f"{error.filename or directory}: {error.strerror or error}") from error
        report = group_report(*collect_group(directory), directory=directory)
        if not is_reported(directory, report):
            write_group_reports(directory, report)
    return records


def _record(audit: RunAudit, given: AuditedRuns, registry: Registry) -> AuditRecord:
    found: list[tuple[RunKey | None, Finding]] = []
    known = {*given.keys, None}

    def keep(item: tuple[RunKey | None, Finding]) -> None:
        key, finding = item
        if key not in known:
            raise ValueError(f"a finding about the run {key}, which it was not asked about")
        found.append((key, _named(audit, finding)))

    error = _gathered_items(audit, lambda: audit.audit_runs(given), keep)
    owner = registry.owner("audit", audit.id)
    by_run: dict[RunKey, list[Finding]] = {key: [] for key in given.keys}
    for key, finding in found:
        if key is not None:
            by_run[key].append(finding)
    return AuditRecord(
        audit=audit.id,
        plugin=f"{owner.distribution} {owner.version}" if owner else f"mleb-core {version('mleb-core')}",
        created_at=now(),
        settings=dict(given.settings),
        error=error,
        findings=tuple(finding for key, finding in found if key is None),
        runs=tuple(RunFindings(key=key, findings=tuple(findings)) for key, findings in by_run.items()),
    )


def _gathered(audit: Audit, ask: Callable[[], Iterable[Finding]], keep: Callable[[Finding], None]) -> str | None:
    return _gathered_items(audit, ask, lambda finding: keep(_named(audit, finding)))


def _gathered_items(audit: Audit, ask: Callable[[], Iterable[Any]], keep: Callable[[Any], None]) -> str | None:
    """Take what an audit gives until it ends; why it failed, in one line, if it did."""
    try:
        for item in ask():
            keep(item)
    except UsageError:
        raise
    except Exception as error:
        text = str(error) if isinstance(error, MlebError) else f"{type(error).__name__}: {error}"
        return " ".join(text.split())
    return None


def _named(audit: Audit, finding: Finding) -> Finding:
    if not isinstance(finding, Finding):
        raise PluginError(f"audit {audit.id} gave {finding!r:.80}, which is no finding")
    named = finding.model_copy(update={"audit": audit.id})
    named.model_dump_json()  # a value that JSON has not is the audit's fault, and is to be told as such
    return named


def _checked_settings(audits: Sequence[Audit], settings: Settings) -> dict[str, dict[str, Any]]:
    """Each audit's settings, validated by its `settings_type`.

    Raises:
        UsageError: a setting is unknown or wrong, or is one of an audit that was not asked for.
    """
    if strange := set(settings) - {audit.id for audit in audits}:
        raise UsageError(f"settings of {', '.join(sorted(strange))}: no such audit was asked for")
    checked: dict[str, dict[str, Any]] = {}
    for audit in audits:
        given, settings_type = dict(settings.get(audit.id, {})), getattr(audit, "settings_type", None)
        if settings_type is None:
            if given:
                raise UsageError(f"audit {audit.id} has no settings, got {', '.join(given)}")
            checked[audit.id] = {}
            continue
        try:
            checked[audit.id] = settings_type.model_validate(given).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(map(str, (audit.id, *first["loc"])))
            raise UsageError(f"audit setting {name}: {first['msg']}") from None
    return checked
