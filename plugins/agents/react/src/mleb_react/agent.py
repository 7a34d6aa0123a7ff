"""The ReAct agent: `python -m mleb_react.agent` in the environment of a run. Needs nothing but Python.

A step: the model replies with its thoughts and one shell command in a ```bash block; the command runs; its output is
the next message. The model ends by writing DONE instead of a command.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

MODEL = "mleb-model"
"""The gateway's name for the model asked for with --model."""
RULES = """\
You solve a machine-learning competition by running shell commands on a Linux machine. In each reply, think first, in a
few sentences; then give exactly one command, or short script, in one block:

```bash
command
```

You are then shown what it printed. Each command starts in your home directory, in a shell of its own, and is stopped
after {command_s:g} seconds. Write programs to files below $MLEB_CODE and run them. Hand in a first simple submission
early, then improve it. When you are satisfied, reply with the word DONE on a line of its own and no command.
"""
COMMAND = re.compile(r"```(?:bash|sh|shell)[ \t]*\n(.*?)```", re.DOTALL)
Messages = list[dict[str, str]]


class Ended(Exception):
    """There are no more model calls. Holds why, and whether that is the model's failure."""


def main() -> int:
    """Converse until the model is done, or steps, time or budget are used up; the last line says which.

    Returns:
        0 when submission.csv is there and the model did not fail, else 1.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # for what a model makes of Unicode
    settings = json.loads(os.environ["REACT_SETTINGS"])
    end = time.monotonic() + float(os.environ["TIME_LIMIT_SECS"]) * 0.98
    submission = Path(os.environ["MLEB_SUBMISSION"], "submission.csv")
    instructions = Path(os.environ["MLEB_INSTRUCTIONS"]).read_text(encoding="utf-8", errors="replace")
    messages: Messages = [
        {"role": "system", "content": RULES.format(**settings)},
        {"role": "user", "content": instructions},
    ]
    steps, why, failed = 0, "its steps are used up", False
    try:
        while steps < settings["steps"]:
            left = end - time.monotonic()
            if left <= 0:
                why = "time is up"
                break
            reply = ask(shortened(messages, settings["history_chars"]), left)
            steps += 1
            print(f"--- step {steps}\n{reply}", flush=True)
            command = COMMAND.search(reply)
            if command is None and re.search(r"^\W*DONE\W*$", reply, re.MULTILINE):
                why = "it is done"
                break
            seen = "There was no ```bash block in your reply, and no DONE." if command is None else ""
            if command is not None:
                seen = run(command[1], min(settings["command_s"], end - time.monotonic()), settings["output_chars"])
                left = end - time.monotonic()
                seen += f"\n\n{max(0.0, left) / 3600:.2f} hours and {settings['steps'] - steps} steps are left."
                seen += "" if submission.exists() else " There is no submission yet."
            print(f"--- output\n{seen}", flush=True)
            messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": seen}]
    except Ended as ended:
        why, failed = ended.args if time.monotonic() < end else ("time is up", False)
    there = submission.is_file()
    handed_in = "submission.csv is handed in" if there else "no submission"
    print(f"react: {why} after {steps} step{'' if steps == 1 else 's'}; {handed_in}", flush=True)
    return 0 if there and not failed else 1


def ask(messages: Messages, timeout_s: float) -> str:
    """The model's reply.

    Raises:
        Ended: the budget is reached, or the model cannot be asked; the gateway has tried again already.
    """
    request = urllib.request.Request(  # the gateway, over http on 127.0.0.1
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": MODEL, "messages": messages}).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            reply: Any = json.load(response)
        return str(reply["choices"][0]["message"]["content"] or "")
    except urllib.error.HTTPError as error:
        text = " ".join(error.read(2000).decode(errors="replace").split())
        if "budget_reached" in text:
            raise Ended(f"the budget is reached ({text})", False) from error
        raise Ended(f"the model gave status {error.code}: {text}", True) from error
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise Ended(f"the model cannot be asked: {type(error).__name__}: {error}", True) from error


def run(command: str, timeout_s: float, chars: int) -> str:
    """Run a command in a shell; what it printed, shortened, and how it ended."""
    with Path(os.environ["MLEB_CODE"], "commands.sh").open("a", encoding="utf-8", errors="replace") as script:
        script.write(f"{command.rstrip()}\n\n")
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", command], cwd=os.environ["HOME"], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, env=without_token(),
            )  # fmt: skip
        except (OSError, ValueError) as error:  # too long, or with a zero byte
            return f"the command cannot be run: {error}"
        try:
            ended = f"exit code {process.wait(timeout=max(1.0, timeout_s))}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {timeout_s:.0f} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what it left in the background
            process.wait()
        size = output.seek(0, os.SEEK_END)
        output.seek(0)
        text = output.read(4 * chars)
        if size > 8 * chars:
            output.seek(size - 4 * chars)
        text += output.read()
    return f"{middle_cut(text.decode(errors='replace'), chars)}\n[{ended}]"


def without_token() -> dict[str, str]:
    """The environment, without the way to the model: commands have no business there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "ANTHROPIC_"))}


def middle_cut(text: str, chars: int) -> str:
    """A text's beginning and end."""
    return text if len(text) <= chars else f"{text[: chars // 2]}\n[... cut ...]\n{text[-chars // 2 :]}"


def shortened(messages: Messages, chars: int) -> Messages:
    """A conversation of at most so many characters, where possible: the oldest outputs are left out first."""
    kept = [dict(message) for message in messages]
    excess = sum(len(message["content"]) for message in kept) - chars
    for message in kept[2:-1]:
        if excess > 0 and message["role"] == "user":
            excess -= len(message["content"])
            message["content"] = "[output left out]"
    return kept


if __name__ == "__main__":
    sys.exit(main())
