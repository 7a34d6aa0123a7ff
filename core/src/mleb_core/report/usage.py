"""How much an agent did: its steps, and what it used of models."""

import json
import os
import stat
from pathlib import Path

from mleb_core.gateway.records import Usage
from mleb_core.layout import RunLayout
from mleb_core.report.models import UsageSummary
from mleb_core.report.text import one_line, shorten

__all__ = ["told_steps", "usage_summary"]

_MOST_BYTES = 4096
_MOST_STEPS = 10**9
_UNIT_CHARACTERS = 30


def usage_summary(layout: RunLayout) -> UsageSummary | None:
    """What a run's agent did, from usage.json and its own steps.json; None where there is neither.

    Args:
        layout: of a run whose agent has ended, with all collected. A file that is damaged counts as not there.
    """
    told = told_steps(layout.steps)
    try:
        usage: Usage | None = Usage.model_validate_json(layout.usage.read_bytes())
    except (OSError, ValueError):
        usage = None
    if usage is None or (usage.requests == 0 and usage.refused == 0):  # a run with a checker has an empty usage.json
        return None if told is None else UsageSummary(steps=told[0], step_unit=told[1], steps_told=True, cost_usd=0.0)
    counted = (usage.requests - usage.failed, "model calls") if told is None else told
    return UsageSummary(
        steps=counted[0],
        step_unit=counted[1],
        steps_told=told is not None,
        model_calls=usage.requests,
        failed_calls=usage.failed,
        input_tokens=usage.tokens.input,
        output_tokens=usage.tokens.output,
        cost_usd=None if usage.cost_usd is None else round(usage.cost_usd, 6),
        known_cost_usd=round(usage.known_cost_usd, 6),
        estimated_calls=usage.estimated,
    )


def told_steps(path: Path) -> tuple[int, str] | None:
    """Steps and their unit as an agent told them (`UsageSummary.steps`); None where it did not, or not so."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = os.read(handle, _MOST_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        finally:
            os.close(handle)
        found = json.loads(content)
        steps, unit = found["steps"], found.get("unit", "steps")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if isinstance(steps, bool) or not isinstance(steps, int) or not 0 <= steps <= _MOST_STEPS:
        return None
    text = one_line(unit.encode("utf-8", "backslashreplace").decode()) if isinstance(unit, str) else ""
    return steps, shorten(text, _UNIT_CHARACTERS) or "steps"
