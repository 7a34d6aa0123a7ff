"""What happens in a conversation of OpenHands: in short for the run's log, in full for logs/trajectory.jsonl."""

import json
import re
from pathlib import Path
from typing import Any

from mleb_opendevin.program.ends import State

__all__ = ["Events"]

CHARS = 4000
"""Characters of one command or output in the log, at most."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f]")
"""What moves a terminal's cursor and paints it."""


class Events:
    """Called with each event of a conversation.

    Args:
        state: knows how many steps are done.
        logs: directory of the trajectory.
    """

    def __init__(self, state: State, logs: Path) -> None:
        """Nothing has happened."""
        self.state = state
        self.stopped_by = ""
        """What the agent did last: the name of a tool, or `words`."""
        self._file = logs.joinpath("trajectory.jsonl").open("a", encoding="utf-8")

    def __call__(self, event: Any) -> None:
        """Write one down."""
        self._file.write(event.model_dump_json() + "\n")
        self._file.flush()
        kind, step = type(event).__name__, self.state.steps + 1
        if kind == "ActionEvent":
            self.stopped_by = event.tool_name
            said = "".join(part.text for part in event.thought)
            show(f"step {step}: {event.tool_name}", said, command(event.tool_call.arguments))
        elif kind == "MessageEvent" and event.source == "agent":
            self.stopped_by = "words"
            show(f"step {step}: words", text_of(event.llm_message))
        elif kind == "MessageEvent" and event.source == "environment":
            show("OpenHands to the model", text_of(event.llm_message))
        elif kind == "ObservationEvent":
            show("output", "".join(getattr(part, "text", "") for part in event.observation.to_llm_content))
        elif kind in ("AgentErrorEvent", "UserRejectObservation"):
            show("refused", str(getattr(event, "error", "")))
        elif kind == "Condensation":
            show("OpenHands shortens the conversation", str(event.summary or ""))


def show(title: str, *texts: str) -> None:
    """Print something with a title."""
    plain = [ESCAPES.sub("", text).rstrip() for text in texts]
    print(f"--- {title}", *(cut(text) for text in plain if text), sep="\n", flush=True)


def cut(text: str) -> str:
    """A text's beginning and end."""
    return text if len(text) <= CHARS else f"{text[: CHARS // 2]}\n[... cut ...]\n{text[-CHARS // 2 :]}"


def command(arguments: str) -> str:
    """The arguments of a tool, as a person reads them."""
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(given, dict):
        return arguments
    lines = [f"{name}: {value}" for name, value in given.items() if name not in ("security_risk", "summary", "command")]
    return "\n".join([str(given["command"]), *lines] if "command" in given else lines)


def text_of(message: Any) -> str:
    """What a message says."""
    return "".join(getattr(part, "text", "") for part in message.content)
