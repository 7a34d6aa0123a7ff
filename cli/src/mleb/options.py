"""Options that several commands share. Each can be given as an environment variable, MLEB_ and its long name."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from mleb.config import apply_config
from mleb.output import ask_for_json
from mleb.units import parse_duration, parse_size
from mleb_core.errors import UsageError

__all__ = [
    "AsJson",
    "Competitions",
    "Config",
    "DataDir",
    "Edition",
    "More",
    "Split",
    "Workers",
    "duration",
    "option",
    "parsed_by",
    "size",
]

Value = TypeVar("Value")


def option(*names: str, help: str, **details: Any) -> Any:
    """An option with its environment variable: `--data-dir` is MLEB_DATA_DIR."""
    long = next(name for name in names if name.startswith("--")).partition("/")[0]
    return typer.Option(*names, help=help, envvar="MLEB_" + long[2:].replace("-", "_").upper(), **details)


def parsed_by(parse: Callable[[str], Value]) -> Callable[[Any], Value]:
    """A parser for typer, so that a UsageError is told with the option's name."""

    def parser(text: Any) -> Value:
        try:
            return parse(str(text))
        except UsageError as error:
            raise typer.BadParameter(str(error)) from None

    return parser


duration = parsed_by(parse_duration)
"""Seconds from `1h30m`."""
size = parsed_by(parse_size)
"""Bytes from `8GiB`."""

Config = Annotated[
    Path | None,
    option("--config", help="TOML file with values for options.", metavar="FILE", is_eager=True, callback=apply_config),
]
DataDir = Annotated[
    Path | None,
    option(
        "--data-dir",
        "-d",
        help="Where data lies, a directory for each competition.",
        metavar="DIR",
        show_default="mleb/data in your data directory",
    ),
]
Competitions = Annotated[
    list[str] | None,
    option("--competition", "-c", help="A competition, ID or ID@EDITION; may be repeated.", metavar="ID"),
]
More = Annotated[list[str] | None, typer.Argument(help="More competitions, as -c.", metavar="ID", show_default=False)]
Split = Annotated[
    str | None,
    option("--split", "-s", help="All competitions of a split, or of a text file with an id a line.", metavar="NAME"),
]
Edition = Annotated[
    int, option("--edition", "-e", help="Edition of the competitions; 1 is as published.", min=1, metavar="N")
]
Workers = Annotated[int | None, option("--workers", "-w", help="How many at a time.", min=1, metavar="N")]
AsJson = Annotated[bool, option("--json", "-j", help="Print JSON and nothing else to stdout.", callback=ask_for_json)]
