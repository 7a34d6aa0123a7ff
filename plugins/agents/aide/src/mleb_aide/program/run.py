"""Starts AIDE and watches it, in the environment of a run. Standard library alone, Python 3.10.

Writes the task for AIDE, runs inside.py in a session of its own, ends it when the time is up or a signal asks for that,
leaves no process behind, and says in its last line how it went.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mleb_aide.program.ends import State

__all__ = ["main"]

NOTE = """\

How your programs are run
- Each runs as a file of its own, in a directory with the data in ./input. It writes its predictions to
  ./working/submission.csv, every time, also where an earlier program has.
- It prints the value of its validation metric. Use the competition's metric, the same in all programs: the predictions
  of the program with the best value are handed in for you.
"""


class Ended(Exception):
    """A signal asked this program to end."""


def main() -> int:
    """Run AIDE to its end.

    Returns:
        0: a submission is handed in, and AIDE ended by its steps, the time or the budget. 1: anything else.
    """
    limit = float(os.environ["TIME_LIMIT_SECS"])
    end = time.time() + limit - min(60.0, limit * 0.05)
    folder = Path(os.environ["HOME"], "aide")
    folder.mkdir(exist_ok=True)
    folder.joinpath("task.md").write_text(task(), encoding="utf-8")
    state = State(folder / "state.json")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopped)
    settings = json.loads(os.environ["AIDE_SETTINGS"])
    print(f"aide: at most {settings['steps']} steps with {settings['models']['code']['name']}", flush=True)
    reason = watch(folder, end)
    state.read()
    line, code = verdict(state, reason)
    print(f"aide: {line}", flush=True)
    return code


def task() -> str:
    """The task as AIDE gets it: instructions and description, with the paths that its programs see."""
    text = Path(os.environ["MLEB_INSTRUCTIONS"]).read_text(encoding="utf-8", errors="replace")
    places = {
        "MLEB_DATA": "./input",
        "MLEB_SUBMISSION": "./working",
        "MLEB_CODE": "./working",
        "MLEB_LOGS": "./working",
    }
    for name in sorted(places, key=lambda name: -len(os.environ[name])):
        text = text.replace(os.environ[name], places[name])
    description = Path(os.environ["MLEB_DATA"], "description.md").read_text(encoding="utf-8", errors="replace")
    return f"{text.rstrip()}\n{NOTE}\n{description.strip()}\n"


def watch(folder: Path, end: float) -> str:
    """Run inside.py until it ends, or `end`, or a signal; nothing of its session is left after it.

    Returns:
        `ended`, `time` or `stopped`.
    """
    env = {**os.environ, "AIDE_END": repr(end), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
    env |= {"COLUMNS": "120", "TERM": "dumb", "MPLBACKEND": "Agg"}
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
    except Ended:
        return "stopped"
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # before its exit is taken note of: its number is still its own
        process.wait()


def verdict(state: State, reason: str) -> tuple[str, int]:
    """The last line, and the exit code."""
    kept: dict[str, Any] | None = state.kept
    done = f"{state.steps} step{'' if state.steps == 1 else 's'}"
    if kept is None:
        handed_in = "no submission: no program wrote ./working/submission.csv and ended by itself"
    else:
        value = "held for faulty" if kept["metric"] is None else f"metric {kept['metric']:g}"
        handed_in = f"handed in the submission of step {kept['step']} ({value})"
    bad = {
        "model": f"the model cannot be asked ({state.detail})",
        "crash": f"crashed after {done} ({state.detail})",
    }
    good = {"budget": f"the budget is reached ({state.detail})"}
    if reason == "stopped":
        return f"stopped after {done}; {handed_in}", 1
    if reason == "time":
        return f"time is up after {done}; {handed_in}", int(kept is None)
    if state.end in bad:
        return f"{bad[state.end]}; {handed_in}", 1
    if state.end in good:
        return f"{good[state.end]} after {done}; {handed_in}", int(kept is None)
    if state.end == "steps":
        return f"{done} done; {handed_in}", int(kept is None)
    return f"crashed after {done} (its process was killed); {handed_in}", 1


def stopped(*_: object) -> None:
    """Raises Ended."""
    raise Ended
