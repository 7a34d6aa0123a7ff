"""The actions: their names, their inputs, what they do. What cannot be done is told to the model in words."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mleb_mlagentbench.ends import ActionError, TooLong, one_line
from mleb_mlagentbench.files import Workspace, clipped, numbered
from mleb_mlagentbench.model import Model
from mleb_mlagentbench.prompts import EDIT, EDIT_SEGMENT, UNDERSTAND, UNDERSTAND_ALL
from mleb_mlagentbench.scripts import execute

__all__ = ["ACTIONS", "FINAL", "Action", "Actions", "action_named"]

FINAL = "Final Answer"
BLOCK = re.compile(r"^[ \t]*```[\w.+-]*[ \t]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
MOST_PARTS = 6
"""Parts of a long file that the model reads to understand it."""


@dataclass(frozen=True)
class Action:
    """One action, as the model is told of it."""

    does: str
    """What it does."""
    takes: Mapping[str, str]
    """What its input holds, by key."""


ACTIONS = {
    "List Files": Action("Shows what is in a folder.", {"folder": "its name, such as . or data"}),
    "Read File": Action("Shows a whole text file, or the beginning and end of a long one.", {"file": "its name"}),
    "Understand File": Action(
        "Has a file read from start to end, and answers a question about it; for files too long to be shown.",
        {"file": "its name", "question": "what you want to know"},
    ),
    "Inspect Script Lines": Action(
        "Shows some lines of a file with their numbers, 200 at most.",
        {"script": "its name", "first_line": "a number, from 1", "last_line": "a number, included"},
    ),
    "Write File": Action("Writes a file whole.", {"file": "its name", "content": "all of its text"}),
    "Append File": Action("Adds text to the end of a file.", {"file": "its name", "content": "the text"}),
    "Copy File": Action("Copies a file.", {"source": "a name", "target": "the name of the copy"}),
    "Edit Script (AI)": Action(
        "Has a script changed as you say, or written if it is not there, and shows the difference.",
        {"script": "its name", "instruction": "what to change, exactly", "save_as": "the name of the result"},
    ),
    "Edit Script Segment (AI)": Action(
        "Does the same with some lines of a script; for long scripts.",
        {
            "script": "its name",
            "first_line": "a number, from 1",
            "last_line": "a number, included",
            "instruction": "what to change, exactly",
            "save_as": "the name of the result",
        },
    ),
    "Undo Edit Script": Action(
        "Takes back the last change that an action made to a file; again for the one before.", {"script": "its name"}
    ),
    "Execute Script": Action(
        "Runs a script of the workspace (.py by Python, .sh by sh) and shows what it prints.", {"script": "its name"}
    ),
    FINAL: Action("Ends your work; what is in submission/submission.csv is handed in.", {"answer": "a summary"}),
}
OTHER_NAMES = {
    "edit script": "Edit Script (AI)",
    "edit script segment": "Edit Script Segment (AI)",
    "undo edit": "Undo Edit Script",
    "inspect lines": "Inspect Script Lines",
    "submit": FINAL,
}
NAMES = {name.lower(): name for name in ACTIONS} | OTHER_NAMES


def action_named(name: str) -> str:
    """An action's own name, whatever the case.

    Raises:
        ActionError: there is none.
    """
    found = NAMES.get(" ".join(name.lower().split()))
    if found is None:
        raise ActionError(f"there is no action {one_line(name, 80)!r}; there are {', '.join(ACTIONS)}")
    return found


class Actions:
    """Does what the model asks for."""

    def __init__(self, workspace: Workspace, model: Model, end: float, settings: Mapping[str, Any]) -> None:
        """Args:
        workspace: the files.
        model: is asked by the actions that understand and edit.
        end: `time.monotonic()` when the time of the run is up.
        settings: of the agent.
        """
        self.files, self._model, self._end = workspace, model, end
        self._shown, self._read = int(settings["output_chars"]), int(settings["file_chars"])
        self._script_s = float(settings["script_s"])
        self._do: dict[str, Callable[..., str]] = {
            "List Files": self.files.listing,
            "Read File": self.files.read,
            "Understand File": self._understand,
            "Inspect Script Lines": self._inspect,
            "Write File": self.files.write,
            "Append File": self._append,
            "Copy File": self.files.copy,
            "Edit Script (AI)": self._edit,
            "Edit Script Segment (AI)": self._edit_segment,
            "Undo Edit Script": self.files.undo,
            "Execute Script": self._execute,
        }

    def perform(self, name: str, given: Mapping[str, Any]) -> str:
        """What the model is shown after an action other than the last.

        Raises:
            End: as `Model.ask`, for actions that ask it.
        """
        try:
            name = action_named(name)
            shown = self._do[name](*_inputs(name, given))
        except ActionError as error:
            return f"Error: {error}."
        except TooLong:
            return f"Error: {name}: the model cannot take so much text at once; ask for a smaller part."
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            return f"Error: {name}: {one_line(reason)}."
        return clipped(shown, self._shown)

    def _inspect(self, script: str, first_line: str, last_line: str) -> str:
        first, last = _line_numbers(first_line, last_line)
        if last - first >= 200:
            raise ActionError(f"lines {first} to {last} are more than 200; ask for fewer")
        return numbered(self.files.read(script), first, last)

    def _append(self, file: str, content: str) -> str:
        before = self.files.read(file) if self.files.exists(file) else ""
        return self.files.write(file, before + content)

    def _execute(self, script: str) -> str:
        left = min(self._script_s, self._end - time.monotonic())
        return execute(self.files.script(script), self.files.root, left, self._shown)

    def _understand(self, file: str, question: str) -> str:
        text = self.files.read(file)
        parts = [text[start : start + self._read] for start in range(0, len(text), self._read)] or [""]
        answers = [
            self._model.ask(UNDERSTAND.format(file=file, part=number, parts=len(parts), text=part, question=question))
            for number, part in enumerate(parts[:MOST_PARTS], 1)
        ]
        unread = f"\n(Only the first {MOST_PARTS} of {len(parts)} parts were read.)" if len(parts) > MOST_PARTS else ""
        if len(answers) == 1:
            return answers[0] + unread
        joined = "\n\n".join(f"Part {number}: {answer}" for number, answer in enumerate(answers, 1))
        return self._model.ask(UNDERSTAND_ALL.format(file=file, answers=joined, question=question)) + unread

    def _edit(self, script: str, instruction: str, save_as: str) -> str:
        text = self.files.read(script) if self.files.exists(script) else ""
        if len(text) > self._read:
            raise ActionError(f"{script} is longer than {self._read:,} characters; use Edit Script Segment (AI)")
        return self.files.write(save_as, self._edited(EDIT.format(script=script, text=text, instruction=instruction)))

    def _edit_segment(self, script: str, first_line: str, last_line: str, instruction: str, save_as: str) -> str:
        lines = self.files.read(script).splitlines(keepends=True)
        first, last = _line_numbers(first_line, last_line)
        if not 1 <= first <= last <= len(lines):
            raise ActionError(f"{script} has {len(lines)} lines; {first} to {last} is no part of it")
        segment = "".join(lines[first - 1 : last])
        if len(segment) > self._read:
            raise ActionError(f"these lines are longer than {self._read:,} characters; choose fewer")
        prompt = EDIT_SEGMENT.format(script=script, first=first, last=last, text=segment, instruction=instruction)
        new = "".join(lines[: first - 1]) + self._edited(prompt) + "".join(lines[last:])
        return self.files.write(save_as, new)

    def _edited(self, prompt: str) -> str:
        blocks: list[str] = BLOCK.findall(self._model.ask(prompt))
        if not blocks:
            raise ActionError("the edit gave no block of code; nothing has changed. Try again, or use Write File")
        return max(blocks, key=len)


def _inputs(name: str, given: Mapping[str, Any]) -> list[str]:
    """An action's input as texts, in the order of ACTIONS.

    Raises:
        ActionError: something is missing or no text.
    """
    takes = ACTIONS[name].takes
    values = {key: given[key] for key in takes if given.get(key) is not None}
    if "save_as" in takes and "script" in values:
        values.setdefault("save_as", values["script"])
    if name == "List Files":
        values.setdefault("folder", ".")
    wanted = ", ".join(f'"{key}"' for key in takes)
    if missing := [key for key in takes if key not in values]:
        raise ActionError(f"{name} needs {', '.join(missing)}; its input is a JSON object with {wanted}")
    for key, value in values.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ActionError(f"{key} of {name} must be a text, got {one_line(str(value), 60)}")
    return [str(values[key]) for key in takes]


def _line_numbers(first: str, last: str) -> tuple[int, int]:
    try:
        return int(first), int(last)
    except ValueError:
        raise ActionError(f"{one_line(first, 40)!r} to {one_line(last, 40)!r}: expected two line numbers") from None
