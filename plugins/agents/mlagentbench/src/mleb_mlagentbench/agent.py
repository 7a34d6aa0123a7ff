"""The loop: ask for a reply, do its action, remember what came of it."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mleb_mlagentbench.actions import ACTIONS, FINAL, Actions, action_named
from mleb_mlagentbench.ends import ActionError, End, ModelFailed, TimeUp, TooLong, one_line
from mleb_mlagentbench.files import clipped
from mleb_mlagentbench.memory import Memory, Step
from mleb_mlagentbench.model import Model
from mleb_mlagentbench.prompts import LOG, MALFORMED, STEP
from mleb_mlagentbench.reply import MalformedReply, Reply, parse

__all__ = ["Agent"]

LEAST_CONTEXT = 8000
"""Characters below which a prompt that is too long is given up."""


class Agent:
    """Works on one task until something ends it."""

    def __init__(
        self, task: str, actions: Actions, model: Model, *, logs: Path, submission: Path, settings: Mapping[str, Any]
    ) -> None:
        """Args:
        task: what the model is told of it.
        actions: what it can do.
        model: whom to ask.
        logs: directory for steps.jsonl, steps.json and research_log.md.
        submission: directory of the hand-in.
        settings: of the agent.
        """
        self.steps = 0
        """Steps taken."""
        self._task, self._actions, self._model, self._submission = task, actions, model, submission / "submission.csv"
        self._settings = settings
        self._room = int(settings["context_chars"])
        self._transcript = logs / "steps.jsonl"
        self._began = time.monotonic()
        self.memory = Memory(
            model.ask,
            logs / "research_log.md",
            recent=int(settings["recent_steps"]),
            log_chars=int(settings["log_chars"]),
        )

    def work(self) -> None:
        """Take steps.

        Raises:
            End: always, when the work is over.
        """
        most = int(self._settings["steps"])
        for number in range(1, most + 1):
            reply, malformed = self._reply(number)
            print(f"--- step {number}\n{reply}", flush=True)
            final = _is_final(reply.action)
            observation = "" if final else self._actions.perform(reply.action, reply.given)
            self.steps = number
            self._write(number, reply, observation, malformed)
            if final:
                raise End("it gave its final answer")
            print(f"--- observation\n{observation}", flush=True)
            if number < most:
                self.memory.add(Step(number, str(reply), observation))
        raise End("its steps are used up")

    def _reply(self, number: int) -> tuple[Reply, int]:
        """A reply in the right form, and how many before it were not."""
        tries = int(self._settings["reply_tries"])
        wrong, text = "", ""
        for failed in range(tries):
            text = self._asked(number, wrong, text)
            try:
                return parse(text, lenient=failed + 1 == tries), failed
            except MalformedReply as error:
                wrong = str(error)
                print(f"--- step {number}: a reply cannot be used: {wrong}\n{clipped(text, 2000)}", flush=True)
        raise ModelFailed(f"the model's replies cannot be used ({tries} in a row; the last: {one_line(wrong)})")

    def _asked(self, number: int, wrong: str, last: str) -> str:
        """The model's text; a prompt that is too long for it is made shorter, for this step and all later ones."""
        while True:
            prompt = self._prompt(number)
            if wrong:
                prompt = MALFORMED.format(prompt=prompt, wrong=wrong, reply=clipped(last, 1000))
            try:
                return self._model.ask(prompt)
            except TooLong as error:
                self._room = min(self._room, len(prompt)) // 2
                if self._room < LEAST_CONTEXT:
                    raise ModelFailed(f"the model takes no prompt of {len(prompt):,} characters ({error})") from error
                print(f"the prompt is too long for the model; from now on {self._room:,} characters", flush=True)

    def _prompt(self, number: int) -> str:
        most = int(self._settings["steps"])
        left = self._model.end - time.monotonic()
        if left <= 0:
            raise TimeUp("time is up")
        hint = f"{left / 3600:.2f} hours are left."
        hint += "" if self._submission.exists() else " There is no submission/submission.csv yet."
        log = LOG.format(log=self.memory.log.strip()) if self.memory.log else ""
        actions = "\n".join(
            f"- {name}: {action.does} Input: {json.dumps(dict(action.takes))}" for name, action in ACTIONS.items()
        )
        fixed = len(STEP) + len(self._task) + len(actions) + len(log)
        steps = self.memory.shown(self._room - fixed)
        if steps:
            steps = f"# The last steps\n\n{steps}\n"
        return STEP.format(task=self._task, actions=actions, log=log, steps=steps, number=number, most=most, left=hint)

    def _write(self, number: int, reply: Reply, observation: str, malformed: int) -> None:
        line = {
            "step": number,
            "elapsed_s": round(time.monotonic() - self._began, 3),
            **{heading.lower().replace(" ", "_"): text for heading, text in reply.sections.items()},
            "action": reply.action,
            "action_input": reply.given,
            "observation": observation,
            "malformed_replies": malformed,
        }
        with self._transcript.open("a", encoding="utf-8", errors="replace") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        told = self._transcript.with_name("steps.json")  # for the run's report
        part = told.with_suffix(".part")
        part.write_text(json.dumps({"steps": number, "unit": "steps"}), encoding="utf-8")
        part.replace(told)


def _is_final(action: str) -> bool:
    try:
        return action_named(action) == FINAL
    except ActionError:
        return False
