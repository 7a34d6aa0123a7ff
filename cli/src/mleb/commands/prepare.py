"""`mleb prepare`: make competitions' data ready."""

import os
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from mleb.options import AsJson, Competitions, Config, DataDir, Edition, More, Split, option
from mleb.output import clean, print_json, print_line, print_notice, stdout_kept
from mleb_core.errors import MlebError, UsageError

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
    data_dir: DataDir = None,
    edition: Edition = 1,
    keep_raw: Annotated[bool, option("--keep-raw/--no-keep-raw", help="Keep the raw data that mleb fetched.")] = True,
    force: Annotated[bool, option("--force", "-f", help="Prepare again what is prepared already.")] = False,
    skip_verification: Annotated[
        bool, option("--skip-verification", help="Do not compare with the published checksums.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make the data of competitions ready for agents and graders.

    One that fails never stops the others; the exit code is then 1.
    """
    from mleb.render import Steps
    from mleb.selection import select
    from mleb_core.layout import default_data_dir
    from mleb_core.prepare import prepare
    from mleb_core.registry import Registry

    data = (data_dir or default_data_dir()).absolute()
    ids = [*(competitions or ()), *(more or ())]
    results: list[dict[str, Any]] = []
    with stdout_kept():
        registry = Registry()
        if sum((bool(ids), bool(split), lite, every)) > 1:
            raise UsageError("choose one of -c, --split, --lite and --all")
        chosen = select(registry, list(registry.competitions) if every else ids, "low" if lite else split, edition)
        with Steps(len(chosen)) as steps:
            for competition in chosen:
                label = competition.label
                started = time.monotonic()
                result: dict[str, Any] = {"competition": label, "prepared": False, "directory": None, "error": None}
                results.append(result)
                try:
                    prepare(
                        competition,
                        data,
                        raw_dir=raw_dir if raw_dir is None or len(chosen) == 1 else raw_dir / competition.id,
                        force=force,
                        keep_raw=keep_raw,
                        verify=not skip_verification,
                        progress=partial(steps.tell, label),
                    )
                except MlebError as error:
                    result["error"] = str(error)
                except Exception as error:  # one that fails never stops the others
                    if os.environ.get("MLEB_DEBUG"):
                        import traceback

                        traceback.print_exc()
                    result["error"] = f"internal error: {type(error).__name__}: {error}"
                else:
                    from mleb_core.layout import CompetitionData

                    result.update(prepared=True, directory=str(CompetitionData.of(data, label).prepared))
                result["seconds"] = round(time.monotonic() - started, 3)
                if result["error"] is not None:
                    steps.fail(_about(label, result["error"]))
                steps.advance()
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


def _about(label: str, line: str) -> str:
    return line if line.startswith(label) else f"{label}: {line}"
