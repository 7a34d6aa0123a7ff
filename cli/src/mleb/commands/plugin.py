"""`mleb plugin list`: the plugins that are installed, whether they work or not."""

import typer

from mleb.commands.list import show
from mleb.options import AsJson

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("list")(list_plugins)
    app.add_typer(group, name="plugin", help="Look at the plugins that are installed.")


def list_plugins(as_json: AsJson = False) -> None:
    """List the plugins, whether they work or not.

    One that cannot be used is listed with its error.
    """
    show("plugins", as_json=as_json)
