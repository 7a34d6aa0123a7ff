"""The obfuscated form of a competition: the same task without title, story or source.

The paper's contamination study asks whether an agent does worse when it cannot recognise the competition. The text is
not written twice: a description.md names its subject only in the title and under `## Background`, which are left out.
"""

import hashlib
import re

__all__ = ["neutral_id", "obfuscated_description"]

_TELLING = ("Background", "Leaderboard")
"""Sections that may name the competition, its host or the source of its data."""


def neutral_id(id: str) -> str:
    """An id that names nothing, the same for the same competition: `competition-` and six hexadecimal digits."""
    return f"competition-{hashlib.sha256(id.encode()).hexdigest()[:6]}"


def obfuscated_description(description: str) -> str:
    """description.md without its title and the sections that tell where it comes from.

    Args:
        description: Markdown with one `# title` and `## sections`.
    """
    parts = re.split(r"^(?=## )", description, flags=re.MULTILINE)
    kept = [part for part in parts[1:] if not part.startswith(tuple(f"## {name}" for name in _TELLING))]
    return "# Competition\n\n" + "".join(kept).strip() + "\n"
