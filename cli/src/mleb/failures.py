"""What went wrong, as one line, a kind and an exit code; and whether it is to be told as JSON, too."""

import os
import re
from collections.abc import Sequence

import mleb.output
from mleb_core.errors import MlebError, UsageError

__all__ = ["in_one_line", "wants_json"]


def in_one_line(error: Exception, arguments: Sequence[str]) -> tuple[str, str, int]:
    """An error as users see it.

    Args:
        error: whatever a command raised.
        arguments: the command line, without the program's name.

    Returns:
        Its kind (the name of an error of mleb_core, OSError, or InternalError), a line, the exit code.
    """
    if isinstance(error, MlebError):
        return type(error).__name__, str(error), 2 if isinstance(error, UsageError) else 1
    if isinstance(error, OSError) and error.strerror:
        return "OSError", error.strerror if error.filename is None else f"{error.filename}: {error.strerror}", 1
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ClickException" in names:  # of click or of the copy inside typer, whichever there is
        return "UsageError", _usage(error, names, arguments), 2
    if "Abort" in names:
        return "Interrupted", "aborted", 1
    hint = "" if os.environ.get("MLEB_DEBUG") else " (run with MLEB_DEBUG=1 for the traceback)"
    return "InternalError", f"internal error: {type(error).__name__}: {error}{hint}", 1


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether the results of a command line are JSON, also where it cannot be read to its end."""
    words = list(arguments)
    words = words[: words.index("--")] if "--" in words else words
    formats = [after for word, after in zip(words, [*words[1:], ""], strict=True) if word in ("-f", "--format")]
    return (
        mleb.output.json_is_asked()
        or bool({"--json", "-j", "--format=json", "-fjson"} & set(words))
        or (words[:1] == ["report"] and "json" in formats)
        or os.environ.get("MLEB_JSON", "").lower() in ("1", "true", "t", "yes", "y", "on")
    )


def _usage(error: Exception, names: set[str], arguments: Sequence[str]) -> str:
    """A message of click's with where to read on; without its boxes and its usage."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else f"mleb {arguments[0]}"
    if "NoArgsIsHelpError" in names:
        known = ", ".join(getattr(context.command, "commands", ())) if context is not None else ""
        message = "a command is missing" + (f", one of: {known}" if known else "")
    else:
        told = getattr(error, "format_message", None)
        message = str(told() if told is not None else error).strip().removesuffix(".")
        message = re.sub(r"\bValue error, |\bInput (?=should)", "", message)
        message = message[:1].lower() + message[1:]
    return f"{message} (see {command} --help)" if message.endswith("?") else f"{message}; see {command} --help"
