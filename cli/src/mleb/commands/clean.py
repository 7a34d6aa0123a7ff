"""`mleb clean`: remove what dead harnesses and removed run groups have left on the Docker engine and in /tmp."""

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from mleb.options import AsJson, Config, option
from mleb.output import print_error, print_json, print_line, print_notice, stdout_kept

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("clean")(clean_command)


def clean_command(  # noqa: PLR0917
    runs: Annotated[
        Path | None,
        option("--runs", help="Only of run groups in this directory.", metavar="DIR", show_default="any"),
    ] = None,
    dry_run: Annotated[bool, option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    interrupted: Annotated[
        bool, option("--interrupted", help="Also of runs that could be resumed; agents at work are killed.")
    ] = False,
    any_host: Annotated[
        bool, option("--any-host", help="Also what was made before this machine was started anew, or by another.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Remove containers that nobody will come back for.

    That is what is left of run groups whose directory is gone, and of runs that have ended; volumes and networks
    likewise, and temporary files of a mleb that was killed. What a mleb at work needs stays, and so does what
    `mleb eval --resume` can take up.
    """
    from mleb_core.kaggle.words import readable_size
    from mleb_core.runner.docker.clean import find_objects, remove
    from mleb_core.runner.docker.client import connect
    from mleb_core.temporary import find_leavings, remove_leavings

    failures: list[str] = []
    leavings = find_leavings(runs)
    if not dry_run:  # before the engine is asked, which there need not be
        leavings, failures = remove_leavings(leavings)
    if not as_json:
        for leaving in leavings:
            print_line(f"file {leaving.path}  {leaving.why}")
    with stdout_kept(), contextlib.closing(connect()) as client:
        found = find_objects(client, runs=runs, interrupted=interrupted, any_host=any_host)
        kept = [item for item in found if not item.remove]
        removed = [item for item in found if item.remove]
        if not dry_run:
            removed, further = remove(client, removed)
            failures += further
    freed = sum(item.size_bytes for item in removed)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "removed": [_row(item) for item in removed],
                "files": [{"path": str(leaving.path), "why": leaving.why} for leaving in leavings],
                "kept": [_row(item) for item in kept],
                "failed": failures,
                "freed_bytes": freed,
            }
        )
    else:
        for item in removed:
            print_line(f"{item.kind} {item.name}  {item.run or item.group}  {item.why}")
        for item in kept:
            print_notice(f"kept: {item.kind} {item.name}: {item.why}")
    for failure in failures:
        print_error(failure)
    would = "would be " if dry_run else ""
    if leavings:
        print_notice(f"{len(leavings)} temporary files and directories {would}removed")
    print_notice(f"{len(removed)} objects {would}removed, {readable_size(freed)} {would}freed, {len(kept)} kept")
    if failures:
        raise typer.Exit(1)


def _row(item: object) -> dict[str, object]:
    return {name: value for name, value in vars(item).items() if name != "remove"}
