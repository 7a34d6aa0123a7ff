"""What goes to stdout and stderr. Results go to stdout, everything else to stderr.

Nothing here fails because of what it prints: whatever an agent or a plugin wrote is made harmless, and a
terminal that does not know a character gets an escape for it.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from mleb_core.errors import MlebError

__all__ = [
    "ask_for_json",
    "clean",
    "json_is_asked",
    "open_streams",
    "print_error",
    "print_failure",
    "print_json",
    "print_json_text",
    "print_line",
    "print_notice",
    "print_table",
    "print_text",
    "stdout_kept",
]


_JSON = {"asked": False, "printed": False}


def ask_for_json(asked: bool) -> bool:
    """Callback of --json: remember that stdout is for JSON alone, which failures must know."""
    _JSON["asked"] = _JSON["asked"] or asked
    return asked


def json_is_asked() -> bool:
    """Whether the command has read that its results are JSON."""
    return _JSON["asked"]


def open_streams() -> None:
    """Make stdin, stdout and stderr usable: a closed one leads to the null device, none raises on a character."""
    _JSON.update(asked=False, printed=False)
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # a closed standard stream would be given to the next file that is opened
    os.close(handle)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def clean(text: object) -> str:
    """Text of others as one harmless line: white space becomes a blank, control characters become escapes."""
    line = " ".join(str(text).split())
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)


def print_line(text: str = "") -> None:
    """A line of a result."""
    print_text(text + "\n")


def print_text(text: str) -> None:
    """Lines of a result, with their line ends.

    Raises:
        MlebError: stdout cannot be written, as on a full disk; BrokenPipeError passes.
    """
    try:
        sys.stdout.write(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise MlebError(f"stdout: {error.strerror}") from None


def print_notice(text: object) -> None:
    """One line for people that is no result."""
    _to_stderr(clean(text))


def print_error(text: object) -> None:
    """The one line that says what went wrong."""
    _to_stderr(f"Error: {clean(text)}")


def print_failure(kind: str, message: str, exit_code: int, *, as_json: bool) -> None:
    """What went wrong: a line on stderr, and an object on stdout where a program waits for JSON that never came.

    Args:
        kind: name of the error, such as UsageError.
        message: is made one harmless line.
        exit_code: of the command.
        as_json: whether the results were to be JSON.
    """
    print_error(message)
    if as_json and not _JSON["printed"]:
        with contextlib.suppress(MlebError, OSError):  # stdout cannot be written, which may be what went wrong
            print_json({"error": {"type": kind, "message": clean(message), "exit_code": exit_code}})


def print_json(value: Any) -> None:
    """A result as JSON. Always UTF-8, whatever the terminal's encoding."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as a file name that is not UTF-8 gives
        text = json.dumps(value, indent=2) + "\n"
    print_json_text(text)


def print_json_text(text: str) -> None:
    """A result that is JSON already, with its line end."""
    if hasattr(sys.stdout, "reconfigure") and not text.isascii():
        sys.stdout.reconfigure(encoding="utf-8")
    _JSON["printed"] = True
    print_text(text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned plain columns; in a terminal the last column is cut at its width. No rich: listings start fast."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in ([column.upper() for column in columns], *cells):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print_line(line if limit is None or len(line) <= limit else line[: limit - 3] + "...")


@contextlib.contextmanager
def stdout_kept() -> Iterator[None]:
    """Keep stdout for results: meanwhile what plugins, libraries and child processes print goes to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _to_stderr(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody listens; the exit code tells
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
