"""What became of an agent, in one line: why it ended, after how many steps, and its last words.

`exit code 1 after 3 steps: ValueError: the model gave no code`, `no submission after 12 model calls: I am done.`,
`model openai/gpt-4o: provider openai refused the key of the host with status 401; exit code 1 after 0 model calls: ...`
"""

import json
import os
import re
from pathlib import Path

from mleb_core.layout import RunLayout
from mleb_core.report.models import UsageSummary
from mleb_core.report.text import one_line, shorten
from mleb_core.report.usage import usage_summary
from mleb_core.run import Cause, Outcome, RunStatus

__all__ = ["last_words", "told_in_full"]

LOOKED_AT = 64 * 1024
"""Bytes at a log's end among which its last line is looked for."""
MOST_CHARACTERS = 200
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")


def told_in_full(outcome: Outcome, layout: RunLayout) -> Outcome:
    """An outcome whose message also says how far the agent came, what it said last, and which model failed it.

    Args:
        outcome: as the runner saw the agent's end.
        layout: of the run; everything is collected, usage.json is written.

    Returns:
        The outcome with a longer message where the agent failed, was out of time or handed nothing in; else as it is.
    """
    if outcome.status not in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.TIMED_OUT):
        return outcome
    nothing = not layout.submission.is_file()
    if outcome.status is RunStatus.FINISHED and not nothing:
        return outcome
    if outcome.cause not in (None, Cause.AGENT_ERROR, Cause.AGENT_TIMEOUT, Cause.BUDGET_REACHED):
        return outcome
    usage = usage_summary(layout)
    what = [outcome.message] if outcome.message else []
    if nothing and outcome.status is not RunStatus.FAILED:
        what.append("no submission")
    comma = "," if outcome.status is RunStatus.TIMED_OUT else ""  # "time was up after 60 s, after 3 steps"
    line = ", ".join(what) + (comma + steps if (steps := _steps(usage)) else "")
    if fault := _model_fault(usage, layout.transcript):
        line = f"{fault}; {line}"
    # Who was ended from outside did not choose its last words.
    if outcome.status is not RunStatus.TIMED_OUT and (words := last_words(layout.log)):
        line = f"{line}: {words}"
    return outcome.model_copy(update={"message": line})


def last_words(log: Path) -> str:
    """The last line of a log that is not blank, as harmless text of at most 200 characters; "" where there is none.

    What a terminal would take for colours and the like is left out.
    """
    try:
        handle = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - LOOKED_AT))
            tail = stream.read(LOOKED_AT).decode(errors="replace")
    except OSError:
        return ""
    for line in reversed(re.split(r"[\r\n]+", tail)):
        if words := one_line(_ESCAPES.sub("", line)):
            return shorten(words, MOST_CHARACTERS)
    return ""


def _steps(usage: UsageSummary | None) -> str:
    if usage is None or usage.steps is None:
        return ""
    unit = usage.step_unit
    return f" after {usage.steps} {unit.removesuffix('s') if usage.steps == 1 else unit}"


def _model_fault(usage: UsageSummary | None, transcript: Path) -> str:
    """Why no model ever answered, as for a key that is refused or a model that does not exist; "" where one did."""
    if usage is None or not usage.model_calls or usage.failed_calls < usage.model_calls:
        return ""
    try:
        with transcript.open("rb") as stream:
            line = stream.readline(LOOKED_AT)
        facts = json.loads(line[: line.index(b', "request": ')] + b"}")
        model, error, status = str(facts["model"]), str(facts["error"]), facts["status"]
    except (OSError, ValueError, LookupError, TypeError):
        return f"all {usage.model_calls} model calls failed"
    told = f" (status {status})" if status and "status" not in error else ""
    return shorten(one_line(f"model {model}: {error}{told}"), MOST_CHARACTERS)
