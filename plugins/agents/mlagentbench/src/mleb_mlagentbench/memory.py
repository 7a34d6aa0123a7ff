"""What the model is shown of earlier steps: the last ones in full, all others in a research log of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mleb_mlagentbench.ends import TooLong, one_line
from mleb_mlagentbench.files import clipped
from mleb_mlagentbench.prompts import SHORTEN, SUMMARISE

__all__ = ["Memory", "Step"]

LEAST_SHOWN = 500
"""Characters that are left of an observation, however short of room the prompt is."""


@dataclass(frozen=True)
class Step:
    """A step that was taken."""

    number: int
    """From 1."""
    reply: str
    """What the model said, from its reflection to its action's input."""
    observation: str
    """What came of it."""

    def shown(self, chars: int) -> str:
        """As text of about so many characters at most."""
        observation = clipped(self.observation, max(LEAST_SHOWN, chars - len(self.reply)))
        return f"Step {self.number}\n{clipped(self.reply, max(4 * LEAST_SHOWN, chars))}\nObservation: {observation}\n"


class Memory:
    """Earlier steps."""

    def __init__(self, ask: Callable[[str], str], path: Path, *, recent: int, log_chars: int) -> None:
        """Args:
        ask: the model.
        path: file for the whole log.
        recent: steps that are kept in full.
        log_chars: of the log that are shown.
        """
        self._ask, self._path, self._most, self._log_chars = ask, path, recent, log_chars
        self.recent: list[Step] = []
        self.log = ""

    def add(self, step: Step) -> None:
        """Remember a step; those for which there is no more room go into the research log.

        Raises:
            End: as `Model.ask`.
        """
        self.recent.append(step)
        while len(self.recent) > self._most:
            oldest = self.recent[0]
            self._note(oldest)
            self.recent.pop(0)

    def shown(self, chars: int) -> str:
        """The last steps in about so many characters: of the oldest there is least."""
        texts: list[str] = []
        for step in reversed(self.recent):
            texts.append(step.shown(max(chars, 0)))
            chars -= len(texts[-1])
        return "\n".join(reversed(texts))

    def _note(self, step: Step) -> None:
        summary = self._asked(SUMMARISE, "step", step.shown(self._log_chars)).strip()
        if not summary:
            summary = f"{one_line(step.reply[-500:])} gave: {one_line(step.observation)}"
        entry = f"[Step {step.number}] {clipped(summary, self._log_chars // 4)}\n"
        with self._path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(entry)
        self.log += entry
        if len(self.log) > self._log_chars:
            words = self._log_chars // 12
            shorter = self._asked(SHORTEN, "log", self.log, words=words).strip()
            if not 0 < len(shorter) <= self._log_chars:  # it was not shortened: the oldest goes
                shorter = "[...] " + self.log[-self._log_chars // 2 :]
            self.log = f"{shorter}\n"

    def _asked(self, prompt: str, name: str, text: str, **further: object) -> str:
        try:
            return self._ask(prompt.format(**{name: text}, **further))
        except TooLong:
            return ""
