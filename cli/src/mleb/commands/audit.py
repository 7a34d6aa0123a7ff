"""`mleb audit`: checks of prepared data and of finished runs, with evidence."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mleb.options import AsJson, Competitions, DataDir, Edition, More, Split, option
from mleb.output import clean, print_error, print_json, print_line, print_notice, stdout_kept
from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from mleb_core.audits.carry_out import DataAuditReport
    from mleb_core.audits.findings import AuditRecord, Evidence, Finding

__all__ = ["audit_settings", "found_bad", "is_bad", "register", "show_records"]

SIDE_BY_SIDE = "side_by_side"
_MOST_ROWS = 12
_MOST_EVIDENCE = 3

Audits = Annotated[
    list[str] | None,
    option("--audit", help="An audit (`mleb list audits`); may be repeated. Without it: all.", metavar="NAME"),
]
Settings = Annotated[
    list[str] | None,
    option("--set", help="A setting of an audit, AUDIT.KEY=VALUE; may be repeated.", metavar="KEY=VALUE"),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("data")(data_command)
    group.command("runs")(runs_command)
    app.add_typer(
        group, name="audit", help="Look for leaks in prepared data, and for what finished runs should not do."
    )


def data_command(  # noqa: PLR0917
    more: More = None,
    competitions: Competitions = None,
    split: Split = None,
    audits: Audits = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    edition: Edition = 1,
    as_json: AsJson = False,
) -> None:
    """Look at the prepared data of competitions.

    Exits with 1 where something serious was found or an audit failed.
    """
    from mleb.selection import select
    from mleb_core.audits.carry_out import audit_data
    from mleb_core.layout import default_data_dir
    from mleb_core.registry import Registry

    reports: list[DataAuditReport] = []
    with stdout_kept():
        registry = Registry()
        chosen = select(registry, [*(competitions or ()), *(more or ())], split, edition)
        given = audit_settings(settings or ())
        for competition in chosen:
            if len(chosen) > 1:
                print_notice(competition.label)
            report = audit_data(
                competition, data_dir or default_data_dir(), registry, names=audits or (), settings=given
            )
            reports.append(report)
    if as_json:
        print_json([report.model_dump(mode="json") for report in reports])
    else:
        for report in reports:
            for finding in report.findings:
                _show(report.competition, finding)
            _show_failed(report.competition, report.failed)
            _show_sum(report.competition, report.findings, report.audits)
    if any(report.failed or is_bad(report.findings) for report in reports):
        raise typer.Exit(1)


def runs_command(
    group: Annotated[Path, typer.Argument(help="Directory of a run group.", metavar="GROUP_DIR")],
    audits: Audits = None,
    settings: Settings = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Look at the runs of a group that have ended.

    What is found is kept in the group's directory and stands in its report. Data is looked for where the group had it,
    unless --data-dir says otherwise. Exits with 1 where something serious was found or an audit failed.
    """
    from mleb_core.audits.carry_out import audit_runs
    from mleb_core.registry import Registry

    with stdout_kept():
        given = audit_settings(settings or ())
        records = audit_runs(group, Registry(), names=audits or (), settings=given, data_dir=data_dir)
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
    else:
        show_records(records)
    if any(found_bad(record) for record in records):
        raise typer.Exit(1)


def found_bad(record: "AuditRecord") -> bool:
    """Whether an audit failed or found something serious."""
    return record.error is not None or is_bad(_all_of(record))


def show_records(records: "Iterable[AuditRecord]") -> None:
    """What audits found in runs: a line for each finding, with its evidence below."""
    for record in records:
        for finding in record.findings:
            _show("group", finding)
        for run in record.runs:
            for finding in run.findings:
                _show(str(run.key), finding)
        if record.error:
            _show_failed("group", {record.audit: record.error})
        _show_sum(f"{len(record.runs)} runs", _all_of(record), [record.audit])


def audit_settings(pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Settings by audit, from `AUDIT.KEY=VALUE`; values as by `mleb eval --set`.

    Raises:
        UsageError: not such a pair, or one key given twice.
    """
    from mleb.commands.eval import parse_settings

    for pair in pairs:
        name, equals, _ = pair.partition("=")
        if not equals or "." not in name:
            raise UsageError(f"--set {pair!r}: expected AUDIT.KEY=VALUE")
    return parse_settings(list(pairs))


def is_bad(findings: "Iterable[Finding]") -> bool:
    """Whether something serious is among them."""
    return any(finding.severity == "serious" for finding in findings)


def _all_of(record: "AuditRecord") -> "list[Finding]":
    return [*record.findings, *(finding for run in record.runs for finding in run.findings)]


def _show(where: str, finding: "Finding") -> None:
    print_line(clean(f"{where}: {finding.severity}: {finding.audit}/{finding.rule}: {finding.message}"))
    for evidence in finding.evidence[:_MOST_EVIDENCE]:
        print_line(f"    {clean(_place(evidence))}")
        for row in _rows(evidence):
            print_line(f"        {clean(row)}")
    if (left := len(finding.evidence) - _MOST_EVIDENCE) > 0:
        print_line(f"    and at {left} other places; --json shows them")


def _place(evidence: "Evidence") -> str:
    parts = [evidence.file] if evidence.file else []
    parts += [f"line {evidence.line}"] if evidence.line is not None else []
    parts += [f"row {evidence.row}"] if evidence.row is not None else []
    told = {name: value for name, value in evidence.values.items() if name != SIDE_BY_SIDE}
    values = ", ".join(f"{name} {_short(value)}" for name, value in told.items())
    return ": ".join(part for part in (", ".join(parts), values) if part) or "-"


def _rows(evidence: "Evidence") -> list[str]:
    rows = evidence.values.get(SIDE_BY_SIDE)
    return [str(row) for row in rows[:_MOST_ROWS]] if isinstance(rows, list) else []


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def _show_failed(where: str, failed: Mapping[str, str]) -> None:
    for audit, error in failed.items():
        print_error(clean(f"{where}: audit {audit} came to no end: {error}"))


def _show_sum(where: str, findings: "Sequence[Finding]", audits: Sequence[str]) -> None:
    counts = {name: sum(f.severity == name for f in findings) for name in ("serious", "warning", "info")}
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing found"
    print_line(clean(f"{where}: {', '.join(audits)}: {told}"))
