"""`mleb doctor`: what is here, what is missing, and what to do about it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mleb.options import AsJson, Config, DataDir, option
from mleb.output import print_json, print_line, stdout_kept

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor_command)


def doctor_command(
    data_dir: DataDir = None,
    output: Annotated[Path, option("--output", "-o", help="Directory of run groups.", metavar="DIR")] = Path("runs"),
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what is here, what is missing, and what to do about it.

    Exits with 1 where something is broken; what is merely absent is no failure.
    """
    from mleb.checks import examine
    from mleb_core.layout import default_data_dir

    with stdout_kept():
        findings = examine(data_dir or default_data_dir(), output)
    if as_json:
        rows: list[dict[str, Any]] = [vars(finding) for finding in findings]
        print_json(rows)
    else:
        from mleb.render import show_table

        show_table(["what", "state", "found"], [[f.what, f.state, f.found] for f in findings])
        advice = [finding for finding in findings if finding.advice]
        if advice:
            print_line()
        for finding in advice:
            print_line(f"{finding.what}: {finding.advice}")
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)
