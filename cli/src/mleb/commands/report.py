"""`mleb report`: results of run groups."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from mleb.options import AsJson, Config, option
from mleb.output import print_json_text, print_notice, print_text, stdout_kept

__all__ = ["register"]


SHOWN = 10
"""Lines about runs that cannot be read."""


class Format(enum.StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report_command)


def report_command(
    groups: Annotated[list[Path], typer.Argument(help="Directories of run groups.", metavar="GROUP")],
    format: Annotated[Format, option("--format", "-f", help="How to write the results.")] = Format.TABLE,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the results of run groups.

    JSON is one object for one group, a list for several. Exits with 1 where a run is there but cannot be read; the
    others are shown all the same.
    """
    from mleb_core.report.build import group_report
    from mleb_core.report.collect import collect_group, unreadable_runs
    from mleb_core.report.formats import to_csv, to_json, to_markdown

    with stdout_kept():
        reports = [group_report(*collect_group(directory), directory=directory) for directory in groups]
    if as_json or format is Format.JSON:
        documents = [to_json(report).rstrip("\n") for report in reports]
        print_json_text((documents[0] if len(documents) == 1 else "[\n" + ",\n".join(documents) + "\n]") + "\n")
    elif format is Format.TABLE:
        from mleb.reports import show_group_reports

        show_group_reports(reports)
    elif format is Format.MARKDOWN:
        print_text("\n".join(to_markdown(report) for report in reports))
    else:
        texts = [to_csv(report) for report in reports]
        print_text(texts[0] + "".join(text.partition("\n")[2] for text in texts[1:]))  # one header for all
    unreadable = [line for report in reports for line in unreadable_runs(report)]
    for line in unreadable[:SHOWN]:
        print_notice(line)
    if len(unreadable) > SHOWN:
        print_notice(f"and {len(unreadable) - SHOWN} more runs that cannot be read")
    if unreadable:
        raise typer.Exit(1)
