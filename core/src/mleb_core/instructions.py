"""instructions.txt: what an agent is told, rendered from the facts of its run."""

from mleb_core.agent import AgentPaths
from mleb_core.run import Limits

__all__ = ["fill_in", "render_instructions"]


def fill_in(instructions: str, paths: AgentPaths) -> str:
    """Put an agent's paths in place of {data}, {submission}, {code} and {logs}."""
    for name in ("data", "submission", "code", "logs"):
        instructions = instructions.replace(f"{{{name}}}", str(getattr(paths, name)))
    return instructions


def render_instructions(*, limits: Limits, sample: str) -> str:
    """The text of instructions.txt, with {data}, {submission}, {code} and {logs} left for `fill_in`.

    Args:
        limits: what the run may use.
        sample: the sample submission's path below the data directory; one that leads out of it is not the agent's.
    """
    time = _duration(limits.time_s)
    steps = f" and {limits.steps} steps" if limits.steps is not None else ""
    example = (
        ""
        if sample.startswith("../")
        else f"- {{data}}/{sample} is a valid submission without value; yours needs the same columns and rows.\n"
    )
    return f"""\
You are given a machine-learning competition. Solve it as well as you can and hand in predictions.

What you have
- {{data}} holds the data. Read {{data}}/description.md first: it states the task, the files, the metric and
  the format of a submission. Do not change anything there.
{example}- You have {time}{steps}. When the time is up you are stopped, and what you have handed in counts.

What you hand in
- Write your predictions to {{submission}}/submission.csv. Write it early and replace it whenever you improve it:
  only the last state of this one file is graded.
- Leave the code that made it in {{code}}, and logs worth keeping in {{logs}}.

Rules
- Predictions must come from a model or program of yours. Do not label test data by hand and do not write
  predictions by hand.
- Do not look up solutions, published answers or other people's predictions for this task.
"""


def _duration(seconds: float) -> str:
    """72.5 hours, 1 hour, 90 seconds: in the largest unit that keeps the number readable."""
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            amount = round(seconds / size, 1)
            return f"{amount:g} {unit}{'' if amount == 1 else 's'}"
    return f"{seconds:g} seconds"
