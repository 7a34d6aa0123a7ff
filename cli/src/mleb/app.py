"""The command `mleb`: finds the command asked for and turns what goes wrong into one line and an exit code.

0: done. 1: failed. 2: asked for something that cannot be. 130: Ctrl-C. The line goes to stderr; where JSON was asked
for and none was printed yet, stdout gets the same as one object: {"error": {"type", "message", "exit_code"}}.

Start-up is kept short: `mleb --help`, `mleb --version` and `mleb list KIND` import neither typer nor rich, and
any other command imports its own module only.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import mleb
from mleb.commands import COMMANDS
from mleb.failures import in_one_line, wants_json
from mleb.output import clean, open_streams, print_error, print_failure, print_line, print_notice, stdout_kept
from mleb_core.errors import UnknownIdError, UsageError

if TYPE_CHECKING:
    import typer

__all__ = ["build", "help_text", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None: those of the process.

    Returns:
        The exit code.
    """
    open_streams()
    code = _guarded(list(sys.argv[1:] if arguments is None else arguments))
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's own flush has nothing to say
        if code == 0 and not isinstance(error, BrokenPipeError):
            print_error(f"stdout: {error.strerror}")
        return code or 1
    return code


def build(names: Iterable[str] = COMMANDS, *, completion: bool = False) -> "typer.Typer":
    """The typer application with some commands, all unless told otherwise; imports their modules.

    Args:
        names: keys of COMMANDS.
        completion: with the options that install completion in a shell.
    """
    import typer

    app = typer.Typer(
        name="mleb",
        help=mleb.__doc__,
        add_completion=completion,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(lambda: None)  # a group also where it has a single command
    wanted = set(names)
    for module in dict.fromkeys(info.module for name, info in COMMANDS.items() if name in wanted):
        import_module(module).register(app)
    return app


def help_text(plugin_commands: Iterable[tuple[str, str]] = ()) -> str:
    """The text of `mleb --help`.

    Args:
        plugin_commands: name and summary of each command that a plugin brings.
    """
    own = [(name, info.summary) for name, info in COMMANDS.items()]
    others = list(plugin_commands)
    width = max(len(name) for name, _ in own + others)
    lines = [
        "Usage: mleb COMMAND [OPTIONS] [ARGS]...",
        "",
        f"  {mleb.__doc__}",
        "",
        "Options:",
        "  -V, --version  Print the version.",
        "  -h, --help     Print this help; `mleb COMMAND --help` tells more.",
        "  --install-completion, --show-completion",
        "                 Complete commands and options in your shell.",
    ]
    for heading, commands in (("Commands:", own), ("Commands of plugins:", others)):
        if commands:
            lines += ["", heading, *(f"  {name:<{width}}  {summary}".rstrip() for name, summary in commands)]
    lines += [
        "",
        "Each option can be given as an environment variable (--data-dir: MLEB_DATA_DIR), in a file .env in",
        "the current directory, or in a file named with --config. Flags win over the environment, and that",
        "over the file.",
    ]
    return "\n".join(lines)


def _guarded(arguments: list[str]) -> int:
    """Run, and turn what goes wrong into a line and an exit code."""
    try:
        try:
            return _dispatch(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if code > 128:
                print_failure("Interrupted", "interrupted", code, as_json=wants_json(arguments))
            return code
        except KeyboardInterrupt:
            print_failure("Interrupted", "interrupted", 130, as_json=wants_json(arguments))
            return 130
        except BrokenPipeError:
            raise
        except Exception as error:
            _print_traceback()
            kind, message, code = in_one_line(error, arguments)
            print_failure(kind, message, code, as_json=wants_json(arguments))
            return code
    except BrokenPipeError:
        return 1  # whoever read our output has gone; that is no news to them


def _print_traceback() -> None:
    if os.environ.get("MLEB_DEBUG"):
        import traceback

        traceback.print_exc()


def _dispatch(arguments: list[str]) -> int:
    """Find the command and run it; some end with SystemExit."""
    completing = "_MLEB_COMPLETE" in os.environ  # a shell asks; the words are in the environment as well
    if not arguments and not completing:
        print(help_text(), file=sys.stderr)
        return 2
    first = "--show-completion" if completing else arguments[0]
    if first in ("-V", "--version"):
        print_line(f"mleb {mleb.__version__}")
        return 0
    if first in ("-h", "--help"):
        print_line(help_text(_plugin_commands()))
        return 0
    if os.path.isfile(".env"):  # noqa: PTH113  python-dotenv costs 25 ms
        from mleb.config import read_dotenv

        read_dotenv()
    if first in ("--install-completion", "--show-completion"):
        app = build(completion=True)
    elif first == "list" and _list_directly(arguments[1:]):
        return 0
    elif first in COMMANDS:
        app = build([first])
    elif first.startswith("-"):
        raise UsageError(f"no such option {first!r}; see mleb --help")
    else:
        app = _app_of_plugins(first)
    if completing or first.startswith("-"):
        app(args=arguments, prog_name="mleb")
        return 0
    return _invoke(app, arguments)


def _invoke(app: "typer.Typer", arguments: list[str]) -> int:
    """Run a command as typer does, but leave errors to `_guarded`: typer's own take several lines."""
    import typer.main

    command = typer.main.get_command(app)
    try:
        with command.make_context("mleb", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as end:
        return int(end.exit_code)
    return 0


def _list_directly(arguments: list[str]) -> bool:
    """`mleb list KIND [--json]` without typer, which costs more time than the listing; False: typer's turn."""
    from mleb.commands.list import KINDS, show

    words = [argument for argument in arguments if argument not in ("-j", "--json")]
    if len(words) != 1 or words[0] not in KINDS or "MLEB_JSON" in os.environ:
        return False
    show(words[0], as_json=len(words) < len(arguments))
    return True


def _plugin_commands() -> list[tuple[str, str]]:
    """Name and summary of each command that a plugin brings."""
    found = _with_plugins()
    if found is None:
        return []
    _, commands = found
    return [(clean(name), clean(c.get_short_help_str(80))) for name, c in commands.items() if name not in COMMANDS]


def _app_of_plugins(name: str) -> "typer.Typer":
    """The application with the commands of plugins.

    Raises:
        UnknownIdError: none of them is `name`.
    """
    found = _with_plugins()
    if found is None or name not in found[1]:
        raise UnknownIdError("command", name, {*COMMANDS, *(found[1] if found else ())})
    return found[0]


def _with_plugins() -> "tuple[typer.Typer, dict[str, Any]] | None":
    """The application with nothing but commands of plugins, and these by name; None where no plugin brings any."""
    with stdout_kept():
        from mleb_core.plugins import load_plugins

        manager = load_plugins()
        if not any("mleb_register_commands" in plugin.hooks for plugin in manager.plugins):
            return None
        import typer.main

        app = build(())
        for failure in manager.observe("mleb_register_commands", app=app):
            print_notice(failure)
        return app, getattr(typer.main.get_command(app), "commands", {})
