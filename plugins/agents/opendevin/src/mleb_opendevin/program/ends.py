"""How OpenHands ends, as its program inside (inside.py) tells the one that watches it (run.py). Standard library."""

import json
import os
from pathlib import Path

__all__ = ["State", "handed_in", "one_line"]


class State:
    """How far OpenHands is, in a file that is always whole."""

    def __init__(self, path: Path) -> None:
        """Nothing is written yet."""
        self.path = path
        self.steps = 0
        """Replies of the model."""
        self.end = ""
        """Why it ended: `finish`, `idle`, `steps`, `budget`, `model` or `crash`; empty while it goes on."""
        self.detail = ""
        """More about that, in one line."""

    def write(self, end: str = "", detail: str = "") -> None:
        """Write it down."""
        self.end, self.detail = end or self.end, one_line(detail) or self.detail
        fields = {name: value for name, value in vars(self).items() if name != "path"}
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(fields), encoding="utf-8")
        os.replace(part, self.path)  # noqa: PTH105

    def read(self) -> None:
        """Take what is written, if anything."""
        try:
            vars(self).update(json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            self.detail = ""


def handed_in() -> bool:
    """Whether there is a submission, with something in it."""
    path = Path(os.environ["MLEB_SUBMISSION"], "submission.csv")
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def one_line(text: str, most: int = 500) -> str:
    """A text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
