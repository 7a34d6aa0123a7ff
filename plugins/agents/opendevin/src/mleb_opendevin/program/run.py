"""Starts OpenHands and watches it, in the environment of a run. Standard library alone.

Writes the task for OpenHands, runs inside.py in a session of its own, ends it when the time is up or a signal asks for
that, and says in its last line how it went. What the agent's commands have started is the runner's to end.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mleb_opendevin.program.ends import State, handed_in

__all__ = ["main", "verdict"]

NOTE = """\

How you work
- Your terminal starts in {code}; keep your programs there. `python3` has the libraries that there are.
- Nobody answers questions. Work on until your submission is there and you are sure that you cannot improve it further;
  then call the tool finish.
"""


class Ended(Exception):
    """A signal asked this program to end."""


def main() -> int:
    """Run OpenHands to its end.

    Returns:
        0: a submission is handed in, and OpenHands ended by itself, its steps, time or budget. 1: anything else.
    """
    limit = float(os.environ["TIME_LIMIT_SECS"])
    end = time.time() + limit - min(60.0, limit * 0.05)
    folder = Path(os.environ["HOME"], "opendevin")
    folder.mkdir(exist_ok=True)
    instructions = Path(os.environ["MLEB_INSTRUCTIONS"]).read_text(encoding="utf-8", errors="replace")
    task = f"{instructions.rstrip()}\n{NOTE.format(code=os.environ['MLEB_CODE'])}"
    folder.joinpath("task.md").write_text(task, encoding="utf-8")
    quiet = Path(os.environ["HOME"], ".inputrc")  # else bash marks each command's output for pasting
    if not quiet.exists():
        quiet.write_text("set enable-bracketed-paste off\n", encoding="utf-8")
    state = State(folder / "state.json")
    settings = json.loads(os.environ["OPENDEVIN_SETTINGS"])
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stopped)
        print(f"{settings['name']}: at most {settings['steps']} steps with {settings['model']}", flush=True)
        reason = watch(folder, end)
    except Ended:
        reason = "stopped"
    state.read()
    line, code = verdict(state, reason, handed_in())
    print(f"{settings['name']}: {line}", flush=True)
    return code


def watch(folder: Path, end: float) -> str:
    """Run inside.py until it ends, or `end`.

    Returns:
        `ended` or `time`.

    Raises:
        Ended: a signal came.
    """
    env = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "160"}
    env |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True"}
    env |= {"OPENHANDS_SUPPRESS_BANNER": "1", "LOG_LEVEL": "ERROR"}
    process = subprocess.Popen(
        [sys.executable, sys.argv[0], str(folder)],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.time() >= end:
                return "time"
            time.sleep(0.1)
        return "ended"
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # before its exit is taken note of: its number is still its own
        process.wait()


def verdict(state: State, reason: str, submitted: bool) -> tuple[str, int]:
    """The last line, and the exit code."""
    done = f"{state.steps} step{'' if state.steps == 1 else 's'}"
    what = "submission.csv is handed in" if submitted else "no submission: there is no submission.csv"
    bad = {
        "model": f"the model cannot be asked ({state.detail}) after {done}",
        "crash": f"crashed after {done} ({state.detail})",
    }
    good = {
        "finish": f"finished after {done}",
        "steps": f"all steps are used, {done}",
        "idle": f"stopped after {done}, though asked to go on",
        "budget": f"the budget is reached ({state.detail}) after {done}",
    }
    if reason == "stopped":
        return f"stopped after {done}; {what}", 1
    if reason == "time":
        return f"time is up after {done}; {what}", int(not submitted)
    if state.end in good:
        return f"{good[state.end]}; {what}", int(not submitted)
    return f"{bad.get(state.end, f'crashed after {done} (its process was killed)')}; {what}", 1


def stopped(*_: object) -> None:
    """Raises Ended."""
    raise Ended
