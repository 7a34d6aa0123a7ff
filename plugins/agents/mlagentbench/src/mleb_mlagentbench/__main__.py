"""The research agent: `python -m mleb_mlagentbench` in the environment of a run. Needs nothing but Python."""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from mleb_mlagentbench.actions import Actions
from mleb_mlagentbench.agent import Agent
from mleb_mlagentbench.ends import End, Stopped, one_line
from mleb_mlagentbench.files import Workspace
from mleb_mlagentbench.model import Model
from mleb_mlagentbench.prompts import NOTE

__all__ = ["main"]

BANNER = (
    "mlagentbench: mleb's own implementation of MLAgentBench's research agent (arXiv 2310.03302); "
    "at most {} steps with {}"
)
PLACES = {"MLEB_DATA": "./data", "MLEB_SUBMISSION": "./submission", "MLEB_CODE": ".", "MLEB_LOGS": "."}
"""What the task's directories are called in the workspace."""


def main() -> int:
    """Work until something ends it; the last line says what, and whether there is a submission.

    Returns:
        0 when submission.csv is there and the agent ended by itself, its steps, the time or the budget; else 1.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # models write what no file can hold
    settings = json.loads(os.environ["MLAGENTBENCH_SETTINGS"])
    limit = float(os.environ["TIME_LIMIT_SECS"])
    end = time.monotonic() + limit - min(60.0, limit * 0.05)
    data, submission, code, logs = (Path(os.environ[name]) for name in PLACES)
    print(BANNER.format(settings["steps"], settings["model_name"]), flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
    model = Model(settings["model_name"], end, tries=settings["model_tries"], temperature=settings["temperature"])
    agent = None
    try:
        workspace = Workspace(Path(os.environ["HOME"]), data=data, submission=submission, code=code)
        actions = Actions(workspace, model, end, settings)
        agent = Agent(task(settings), actions, model, logs=logs, submission=submission, settings=settings)
        agent.work()
    except End as ended:
        why, good = str(ended), ended.good
    except Exception as error:  # a fault of this program; the submission so far counts all the same
        (logs / "crash.txt").write_text(traceback.format_exc(), encoding="utf-8", errors="replace")
        why, good = f"crashed ({type(error).__name__}: {one_line(str(error))}; logs/crash.txt has more)", False
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    steps = agent.steps if agent is not None else 0
    there = (submission / "submission.csv").is_file()
    handed_in = "submission.csv is handed in" if there else "no submission: nothing wrote submission/submission.csv"
    print(f"mlagentbench: {why} after {steps} step{'' if steps == 1 else 's'}; {handed_in}", flush=True)
    return 0 if good and there else 1


def task(settings: dict[str, float]) -> str:
    """Instructions and description, with the paths that the workspace has."""
    text = Path(os.environ["MLEB_INSTRUCTIONS"]).read_text(encoding="utf-8", errors="replace")
    for name in sorted(PLACES, key=lambda name: -len(os.environ[name])):
        text = text.replace(os.environ[name], PLACES[name])
    # Where there is no container around it: its path would tell which competition this is.
    text = text.replace(f"{os.environ['HOME']}/validate_submission.sh", "../validate_submission.sh")
    description = Path(os.environ["MLEB_DATA"], "description.md").read_text(encoding="utf-8", errors="replace")
    hours = settings["script_s"] / 3600
    note = NOTE.format(script_s=f"{hours:.3g} hours" if hours >= 1 else f"{settings['script_s']:g} seconds")
    return f"{text.rstrip()}\n{note}\n{description.strip()}"


def stopped(*_: object) -> None:
    """Raises Stopped."""
    raise Stopped("stopped")


if __name__ == "__main__":
    sys.exit(main())
