"""instructions.txt: what an agent is told, rendered from the facts of its run."""

from collections.abc import Sequence

from mleb_core.agent import AgentPaths
from mleb_core.run import Limits

__all__ = ["fill_in", "render_instructions"]


def fill_in(instructions: str, paths: AgentPaths) -> str:
    """Put an agent's paths in place of {data}, {submission}, {code}, {logs} and {validate}."""
    for name in ("data", "submission", "code", "logs", "validate"):
        instructions = instructions.replace(f"{{{name}}}", str(getattr(paths, name)))
    return instructions


def render_instructions(
    *, limits: Limits, sample: str, checker: bool = False, network: Sequence[str] | None = None
) -> str:
    """The text of instructions.txt, with the names of paths in braces left for `fill_in`.

    Args:
        limits: what the run may use.
        sample: the sample submission's path below the data directory; one that leads out of it is not the agent's.
        checker: whether there is a submission checker, the script {validate}.
        network: hosts that can be reached, `*` for all; None: the runner leaves the network as it is.
    """
    time = _duration(limits.time_s)
    steps = f" and {limits.steps} steps" if limits.steps is not None else ""
    example = (
        ""
        if sample.startswith("../")
        else f"- {{data}}/{sample} is a valid submission without value; yours needs the same columns and rows.\n"
    )
    check = (
        "- `sh {validate} FILE` says whether a file is a valid submission, or what is wrong with it, but no score.\n"
        if checker
        else ""
    )
    return f"""\
You are given a machine-learning competition. Solve it as well as you can and hand in predictions.

What you have
- {{data}} holds the data. Read {{data}}/description.md first: it states the task, the files, the metric and
  the format of a submission. Do not change anything there.
{example}- You have {time}{steps}. When the time is up you are stopped, and what you have handed in counts.
{_hardware(limits)}{_reach(network)}
What you hand in
- Write your predictions to {{submission}}/submission.csv. Write it early and replace it whenever you improve it:
  only the last state of this one file is graded.
{check}- Leave the code that made it in {{code}}, and logs worth keeping in {{logs}}.

Rules
- Predictions must come from a model or program of yours. Do not label test data by hand and do not write
  predictions by hand.
- Do not look up solutions, published answers or other people's predictions for this task.
"""


def _hardware(limits: Limits) -> str:
    """What of the machine is the run's, as far as it is limited."""
    parts = []
    if limits.cpus is not None:
        parts.append(_count(limits.cpus, "processor core"))
    if limits.memory_bytes is not None:
        parts.append(f"{limits.memory_bytes / 1024**3:.4g} GiB of memory")
    if limits.gpus:
        parts.append(_count(limits.gpus, "GPU"))
    return f"- You may use {', '.join(parts)}.\n" if parts else ""


def _reach(network: Sequence[str] | None) -> str:
    if network is None or "*" in network:
        return ""
    if network:
        return f"- Of the internet you reach only these hosts, by the proxy that is set up: {', '.join(network)}.\n"
    return "- There is no internet. Work with what is installed and with the data.\n"


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    """72.5 hours, 1 hour, 90 seconds: in the largest unit that keeps the number readable."""
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return _count(round(seconds / size, 1), unit)
    return f"{seconds:g} seconds"
