"""Every error that mleb raises on purpose.

    MlebError                      base; its message is one line: what is wrong, where, what to do
    ├── UsageError                 the caller asked for something that cannot be (exit code 2)
    │   └── UnknownIdError         no competition, agent, grader, ... of that id ("did you mean")
    ├── PluginError                a plugin does not import, registers nothing or clashes
    ├── CompetitionError           a competition's folder is wrong (file, key, what was expected)
    ├── PreparationError           raw data is missing, broken or not what the recipe needs
    ├── NotPreparedError           a competition's data is not there, half made or changed
    ├── InvalidSubmissionError     the submission breaks the format; the agent's fault
    ├── GraderError                the grader itself failed; never the agent's fault
    ├── RunnerError                a run cannot be started or watched as asked
    │   └── SandboxError           the place where the run happens broke; the run is tried again
    └── RunGroupError              a run group's directory is missing, foreign, busy or cannot be written

The command line prints the message alone and exits with 2 for UsageError and 1 for all others.
"""

import difflib
from collections.abc import Iterable

__all__ = [
    "CompetitionError",
    "GraderError",
    "InvalidSubmissionError",
    "MlebError",
    "NotPreparedError",
    "PluginError",
    "PreparationError",
    "RunGroupError",
    "RunnerError",
    "SandboxError",
    "UnknownIdError",
    "UsageError",
]


class MlebError(Exception):
    """Base of all errors here. The message is one line that a user can act on."""


class UsageError(MlebError):
    """The caller asked for something that cannot be done as asked."""


class UnknownIdError(UsageError):
    """No such id. The message names close ids."""

    def __init__(self, kind: str, wanted: str, known: Iterable[str]) -> None:
        """Args:
        kind: what was looked up, in the singular ("competition").
        wanted: the id that is not there.
        known: the ids that are.
        """
        self.kind, self.wanted = kind, wanted
        known = sorted(known)
        close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        elif known:
            shown = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
            hint = f"known: {shown}"
        else:
            hint = f"no {kind} is installed"
        super().__init__(f"no {kind} {wanted!r}: {hint}")


class PluginError(MlebError):
    """A plugin cannot be used."""


class CompetitionError(MlebError):
    """A competition's folder is wrong."""


class PreparationError(MlebError):
    """Raw data cannot be turned into prepared data."""


class NotPreparedError(MlebError):
    """Prepared data is not there, half made or changed."""


class InvalidSubmissionError(MlebError):
    """A submission breaks the competition's format."""


class GraderError(MlebError):
    """A grader failed on a submission that it should have graded or refused."""


class RunnerError(MlebError):
    """A run cannot be started or watched as asked."""


class SandboxError(RunnerError):
    """The place where a run happens broke, not the agent; the run may be tried again."""


class RunGroupError(MlebError):
    """A run group's directory cannot be used."""
