"""`mleb prepare`: make competitions' data ready."""

from pathlib import Path
from typing import Annotated

import typer

from mleb.options import AsJson, Competitions, Config, DataDir, Edition, More, Split, option
from mleb.output import clean, print_json, print_line, print_notice, stdout_kept
from mleb_core.errors import UsageError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("prepare")(prepare_command)


def prepare_command(  # noqa: PLR0917
    more: More = None,
    competitions: Competitions = None,
    split: Split = None,
    lite: Annotated[bool, option("--lite", help="The same as --split low.")] = False,
    every: Annotated[bool, option("--all", help="Every competition that is installed.")] = False,
    raw_dir: Annotated[
        Path | None,
        option(
            "--raw-dir",
            help="Raw data: of one competition, or a folder ID for each.",
            metavar="DIR",
        ),
    ] = None,
    link_raw: Annotated[
        bool,
        option("--link-raw", help="Make the files of --raw-dir read-only and link them where they would be copied."),
    ] = False,
    data_dir: DataDir = None,
    edition: Edition = 1,
    keep_raw: Annotated[bool, option("--keep-raw/--no-keep-raw", help="Keep the raw data that mleb fetched.")] = True,
    force: Annotated[bool, option("--force", "-f", help="Prepare again what is prepared already.")] = False,
    skip_verification: Annotated[
        bool, option("--skip-verification", help="Do not compare with the published checksums.")
    ] = False,
    downloads: Annotated[int, option("--downloads", help="How many downloads at a time.", min=1, metavar="N")] = 4,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make the data of competitions ready for agents and graders.

    What is not there is downloaded from Kaggle; docs/data.md says what that needs. One that fails never stops the
    others; the exit code is then 1, and the same command does what is left.
    """
    from mleb.preparing import Options, prepare_all
    from mleb.render import Steps
    from mleb.selection import select
    from mleb_core.layout import default_data_dir
    from mleb_core.registry import Registry

    ids = [*(competitions or ()), *(more or ())]
    options = Options(
        data_dir=(data_dir or default_data_dir()).absolute(),
        raw_dir=raw_dir,
        link_raw=link_raw,
        force=force,
        keep_raw=keep_raw,
        verify=not skip_verification,
        downloads=downloads,
    )
    with stdout_kept():
        registry = Registry()
        if sum((bool(ids), bool(split), lite, every)) > 1:
            raise UsageError("choose one of -c, --split, --lite and --all")
        if link_raw and raw_dir is None:
            raise UsageError("--link-raw goes with --raw-dir; raw data that mleb fetched is linked anyway")
        chosen = select(registry, list(registry.competitions) if every else ids, "low" if lite else split, edition)
        with Steps(len(chosen)) as steps:
            results = prepare_all(chosen, options, steps)
    failed = [result["competition"] for result in results if not result["prepared"]]
    if as_json:
        print_json(results)
    else:
        for result in results:
            if result["prepared"]:
                print_line(f"{result['competition']}  {clean(result['directory'])}")
    if failed:
        print_notice(f"{len(failed)} of {len(results)} competitions could not be prepared: {', '.join(failed)}")
        raise typer.Exit(1)
