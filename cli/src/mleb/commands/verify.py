"""`mleb verify`: whether what a run group left can be believed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mleb.options import AsJson, Config, DataDir, Workers, option
from mleb.output import print_json, print_line, print_notice, stdout_kept

if TYPE_CHECKING:
    from mleb_core.run import RunKey
    from mleb_core.verify import VerifyReport

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify")(verify_command)


def verify_command(  # noqa: PLR0917
    group: Annotated[Path, typer.Argument(help="Directory of a run group.", metavar="GROUP")],
    grade: Annotated[bool, option("--grade/--no-grade", help="Grade the kept submissions again.")] = True,
    data_dir: DataDir = None,
    workers: Workers = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Check a run group: its ledgers, kept files, scores and reports.

    Everything that can be recomputed from the kept files is. Exits with 1 where something does not hold, with a line
    for each finding. Data is looked for where the group had it, unless --data-dir says otherwise.
    """
    from mleb.render import Steps
    from mleb_core.registry import Registry
    from mleb_core.report.collect import load_group
    from mleb_core.verify import verify_group

    with stdout_kept():
        total = len(load_group(group).run_keys())
        with Steps(total) as steps:

            def tell(key: "RunKey") -> None:
                steps.tell(str(key), "checked", quiet=True)
                steps.advance()

            report = verify_group(group, Registry(), data_dir, grade=grade, workers=workers, progress=tell)
    if as_json:
        print_json({**report.model_dump(mode="json"), "holds": report.holds})
    else:
        _show(report, graded=grade)
    if not report.holds:
        raise typer.Exit(1)


def _show(report: "VerifyReport", *, graded: bool) -> None:
    """Findings on stdout, a line each; notes on stderr."""
    from mleb.output import clean

    for note in report.notes:
        print_notice(f"Note: {note}")
    for finding in report.findings:
        print_line(clean(finding))
    again = f", {report.graded_again} submissions graded again" if graded else ", nothing graded again (--no-grade)"
    print_line(
        f"{report.asked} runs asked for: {report.there} there, {len(report.missing)} missing, "
        f"{len(report.unfinished)} unfinished, {len(report.no_ledger)} with no ledger{again}"
    )
    if report.ledgers is not None:
        print_line(f"heads of the ledgers together: {report.ledgers}")
    if report.findings:
        print_line(f"{len(report.findings)} findings: {clean(report.group)} does not hold")
    else:
        unchecked = "; runs with no ledger are only as good as their files" if report.no_ledger else ""
        print_line(f"everything that was looked at holds{unchecked}")
