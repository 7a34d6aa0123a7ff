"""`mleb cancel`: end runs of a group while the others go on."""

from pathlib import Path
from typing import Annotated

import typer

from mleb.options import AsJson, Config, option
from mleb.output import print_json, print_line, print_notice, stdout_kept

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cancel")(cancel_command)


def cancel_command(
    group: Annotated[Path, typer.Argument(help="Directory of a run group.", metavar="GROUP")],
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Which runs: COMPETITION, COMPETITION/AGENT or COMPETITION/AGENT/SEED; all where absent.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    undo: Annotated[bool, option("--undo", help="Take it back: `mleb eval --resume` runs them after all.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Cancel runs of a group while the others go on.

    A cancelled run is not graded, counts as a run without a medal, and `mleb eval --resume` leaves it alone. A `mleb
    eval` at work on the group, from any terminal, ends the agents within about a second. Runs that have ended stay as
    they are.
    """
    from mleb_core.cancel import cancel_runs, restore_runs

    with stdout_kept():
        if undo:
            keys = restore_runs(group, runs or ())
        else:
            from mleb_core.registry import Registry

            keys = cancel_runs(group, runs or (), Registry())
    if as_json:
        print_json([key.model_dump(mode="json") for key in keys])
    else:
        for key in keys:
            print_line(str(key))
    if undo:
        print_notice(f"{len(keys)} runs are no longer cancelled; mleb eval --resume {group} runs them")
    else:
        print_notice(f"{len(keys)} runs cancelled" if keys else "nothing to cancel: these runs have ended")
