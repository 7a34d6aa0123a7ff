"""Runs OpenHands itself, by its own interpreter; started by run.py, with the settings in OPENDEVIN_SETTINGS.

OpenHands' prompts, tools and loop are used as they are. What is added is what its user would do: it is asked to go on
when it stops too early, and told of the end when models refuse.
"""

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from mleb_opendevin.program.ends import State, handed_in
from mleb_opendevin.program.events import Events
from mleb_opendevin.program.faults import FINAL, cause, type_of
from mleb_opendevin.program.python import commands_env, make_python

__all__ = ["main"]

MODEL = "openai/mleb-model"
"""For litellm: an OpenAI-like server that knows a model `mleb-model`, the gateway's name for the model asked for."""
NO_SUBMISSION = "There is no {submission} yet, and without it nothing counts. "
GO_ON = {
    "words": "Nobody reads what you write here, and nobody answers: go on by yourself, with your tools. If you are "
    "sure that your submission cannot be improved, call the tool finish.",
    "finish": "Go on, and call the tool finish only when it is there.",
    "circles": "You repeat yourself without getting anywhere: try something else.",
}
"""What an agent is told that stopped too early, by how it did."""
PR_SET_PDEATHSIG = 1


def main(folder: Path) -> None:
    """Run OpenHands to its end, and write down how it ended.

    Args:
        folder: with task.md, and for what the run leaves beside it.
    """
    settings = json.loads(os.environ["OPENDEVIN_SETTINGS"])
    die_with_parent()
    state = State(folder / "state.json")
    try:
        conversation, events = converse(settings, folder, state)
        state.write(talk(conversation, events, settings, state))
    except Exception as error:
        over = cause(error, settings["model"])
        if over.end == "crash":
            traceback.print_exc()
        state.write(over.end, str(over))
    sys.stdout.flush()
    os._exit(0)  # not the end of its tools, which may wait for what the agent has started: run.py ends it


def converse(settings: dict[str, Any], folder: Path, state: State) -> tuple[Any, Events]:
    """A conversation in which the task has been given, and what is told of its events."""
    warnings.filterwarnings("ignore", message="Cost calculation failed")  # the gateway counts
    import litellm
    from openhands.sdk import LLM, Agent, LocalConversation, Tool
    from openhands.sdk.context.condenser.llm_summarizing_condenser import default_condenser
    from openhands.tools.preset.default import get_default_tools

    logging.getLogger("openhands.sdk.llm.utils.retry_mixin").setLevel(logging.CRITICAL)  # `failed` says it
    wait = settings["model_wait_s"]

    def failed(number: int, _tries: int, error: BaseException | None) -> None:
        over = cause(error, settings["model"])
        if over.end == "budget" or type_of(error) in FINAL:
            raise over
        print(f"{settings['name']}: {over}; try {number + 1} of {settings['model_tries']} follows", flush=True)

    effort = settings["reasoning_effort"]
    reasons = effort is not None or litellm.supports_reasoning(
        settings["model"]
    )  # the SDK asks by the name `mleb-model`
    llm = LLM(
        model=MODEL,
        model_canonical_name=settings["model"],
        base_url=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
        api_mode=settings["api"],
        temperature=settings["temperature"],
        reasoning_effort=effort or "high",
        capability_overrides={"supports_reasoning_effort": reasons},
        caching_prompt=settings["model"].startswith("openrouter/"),  # of those that speak as OpenAI, it takes the marks
        native_tool_calling=settings["native_tools"],
        timeout=settings["model_s"],
        num_retries=settings["model_tries"],
        retry_min_wait=wait,
        retry_max_wait=8 * wait,
        retry_multiplier=wait,
        retry_listener=failed,
    )
    commands_env(make_python(folder) if settings["own_python"] else None)
    terminal = {"terminal_type": "subprocess", "no_change_timeout_seconds": settings["silent_s"]}
    tools = [
        Tool(name=tool.name, params=terminal if tool.name == "terminal" else {})
        for tool in get_default_tools(enable_browser=False)
    ]
    condenser = default_condenser(llm.model_copy(update={"usage_id": "condenser"}))
    logs = Path(os.environ["MLEB_LOGS"])
    events = Events(state, logs)
    conversation = LocalConversation(
        Agent(llm=llm, tools=tools, condenser=condenser, system_prompt_kwargs={"cli_mode": True}),
        workspace=os.environ["MLEB_CODE"],
        persistence_dir=folder / "conversation",
        visualizer=None,
        callbacks=[events],
    )
    keep_counts(conversation, logs, state)
    count_steps(Agent, conversation, logs, state)
    conversation.send_message(folder.joinpath("task.md").read_text(encoding="utf-8"))
    return conversation, events


def count_steps(agent_class: Any, conversation: Any, logs: Path, state: State) -> None:
    """Count each reply of the model, and keep what is known after it."""
    original = agent_class.step

    def step(self: Any, *args: Any, **given: Any) -> None:
        original(self, *args, **given)
        state.steps += 1
        state.write()
        keep_counts(conversation, logs, state)

    agent_class.step = step


def talk(conversation: Any, events: Events, settings: dict[str, Any], state: State) -> str:
    """Let the agent work until it is done, and ask it to go on where it is not.

    Returns:
        Why it ended, as in `State.end`.
    """
    nudges = 0
    while True:
        started = state.steps
        conversation.max_iteration_per_run = settings["steps"] - state.steps
        conversation.run()
        status = conversation.state.execution_status.value
        finished = status == "finished" and events.stopped_by == "finish"
        if finished and handed_in():
            return "finish"
        if state.steps >= settings["steps"]:
            return "steps"
        how = "finish" if finished else "circles" if status == "stuck" else "words"
        worked = state.steps - started > 1 and how != "circles"
        nudges = 1 if worked else nudges + 1
        if nudges > settings["nudges"]:
            return "idle"
        missing = NO_SUBMISSION.format(submission=f"{os.environ['MLEB_SUBMISSION']}/submission.csv")
        told = ("" if handed_in() else missing) + GO_ON[how]
        print(f"{settings['name']}: asks it to go on: {told}", flush=True)
        conversation.send_message(told)


def keep_counts(conversation: Any, logs: Path, state: State) -> None:
    """Write the steps for the run's report, and OpenHands' own count of tokens and seconds, to the logs."""
    metrics = conversation.conversation_stats.model_dump_json(indent=1)
    for name, text in (("steps.json", json.dumps({"steps": state.steps})), ("metrics.json", metrics)):
        part = logs / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, logs / name)  # noqa: PTH105


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone (Linux)."""
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
