"""What a sign of a broken rule is."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Evidence", "Level", "Sign"]

Level = Literal["info", "warning", "serious"]
"""As severities of findings: info: worth knowing; warning: a person should look; serious: the rule is broken, as far as
files can show."""


@dataclass(frozen=True)
class Evidence:
    """A place and what stands there."""

    file: str
    """Below the run's directory."""
    place: str
    """Where in it, in words ("line 12", "code cell 3, line 2", "row 17"); empty: all of it."""
    text: str
    """What stands there, cut to a few hundred characters."""


@dataclass(frozen=True)
class Sign:
    """One thing that was seen."""

    rule: str
    """Which question it is about; one of `rubric.RULES`."""
    level: Level
    """How much it says."""
    message: str
    """One sentence."""
    evidence: tuple[Evidence, ...] = ()
    """Where it was seen."""
