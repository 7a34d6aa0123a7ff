"""Options from elsewhere than the command line: the file `.env`, and a configuration file.

A flag wins over an environment variable, that over the configuration file, that over the default. The file
is TOML; a key is an option's long name without the dashes, in the file's top level for all commands that
have it, or in a table for one command:

    data-dir = "/data/mleb"

    [eval]
    plugin = ["baseline"]
    workers = 4
    time-limit = "1h"

    [eval.set.agent]
    steps = 20
"""

import difflib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from mleb_core.errors import UsageError

__all__ = ["apply_config", "read_dotenv"]


def read_dotenv() -> None:
    """Add the variables of `.env` in the current directory to the environment; those that are there stay.

    Raises:
        UsageError: the file cannot be read.
    """
    import dotenv

    try:
        values = dotenv.dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f".env cannot be read: {error}") from None
    for name, value in values.items():
        if value is not None and "\0" not in value:
            os.environ.setdefault(name, value)


def apply_config(context: typer.Context, path: Path | None) -> Path | None:
    """Callback of --config: make the file's values the defaults of the command's options.

    Raises:
        UsageError: the file cannot be read, or has a key or a value that no option has.
    """
    if path is None or context.resilient_parsing:
        return path
    document = _read(path)
    command = str(context.info_name)
    options = _options()
    mine = options[command]
    values: dict[str, Any] = {}
    tables = {key: value for key, value in document.items() if key in options}
    for table, content in tables.items():
        if not isinstance(content, dict):
            raise UsageError(f"{path}: {table}: a table of options is expected, got {content!r:.60}")
        _refuse_unknown(path, f"{table}.", content, options[table], f"option of `mleb {table}`")
    rest = {key: value for key, value in document.items() if key not in tables}
    everywhere = {name: option for known in options.values() for name, option in known.items()}
    _refuse_unknown(path, "", rest, {**everywhere, **dict.fromkeys(options)}, "option of any command")
    for prefix, content in (("", rest), (f"{command}.", tables.get(command, {}))):
        for key, value in content.items():
            option = mine.get(key.replace("_", "-"))
            if option is not None:
                values[str(option.name)] = _checked(path, prefix + key, value, option, context)
    context.default_map = {**(context.default_map or {}), **values}
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file; --config names a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _options() -> dict[str, dict[str, Any]]:
    """Options by long name, of each command that takes --config."""
    import typer.main

    from mleb.app import build

    commands: dict[str, Any] = getattr(typer.main.get_command(build()), "commands")  # noqa: B009
    found = {}
    for name, command in commands.items():
        options = {long[2:]: p for p in command.params for long in getattr(p, "opts", ()) if long.startswith("--")}
        if "config" in options:
            found[name] = {key: option for key, option in options.items() if key not in ("config", "help")}
    return found


def _refuse_unknown(path: Path, prefix: str, given: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    for key in given:
        if key.replace("_", "-") not in known:
            close = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(known))}"
            raise UsageError(f"{path}: {prefix}{key} is no {what}; {hint}")


def _checked(path: Path, key: str, value: Any, option: Any, context: typer.Context) -> Any:
    """A value as the option takes it from the command line.

    Raises:
        UsageError: it is not one that the option takes.
    """
    if option.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"{path}: {key}: true or false is expected, got {value!r:.60}")
        return value
    if option.multiple:
        items = list(_settings(value)) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        plain = [str(item) for item in items if not isinstance(item, list | dict)]
        if len(plain) < len(items):
            raise UsageError(f"{path}: {key}: a list of texts is expected, got {value!r:.60}")
        given: Any = plain
    elif isinstance(value, list | dict | bool):
        raise UsageError(f"{path}: {key}: one text or number is expected, got {value!r:.60}")
    else:
        given = str(value)
    try:
        option.process_value(context, given)
    except typer.BadParameter as error:
        raise UsageError(f"{path}: {key}: {error.message}") from None
    return given


def _settings(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """A table as `key=value` texts, as --set takes them."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={value if isinstance(value, str) else json.dumps(value, default=str)}"
