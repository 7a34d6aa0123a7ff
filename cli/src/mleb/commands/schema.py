"""`mleb schema`: the JSON Schema of the reports."""

from typing import Annotated

import typer

from mleb.output import print_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema")(schema_command)


def schema_command(
    name: Annotated[
        str | None,
        typer.Argument(help="One report, such as group-report; all of them by name where absent.", metavar="NAME"),
    ] = None,
) -> None:
    """Print the JSON Schema of the reports."""
    from mleb_core.report.formats import SCHEMAS, schema

    print_json({name: schema(name) for name in SCHEMAS} if name is None else schema(name))
