"""How well a model knows a text: the mean probability that it gives to each token, given all before.

The familiarity of the MLE-bench paper (arXiv 2410.07095, section on contamination): the mean over the tokens of
p(token | tokens before), 0 to 1. Two ways to it, which must not be mixed, for their values differ:

- `echo`: POST /completions with the text echoed and its log-probabilities. One request a piece of text, every token
  counts but the first. Servers of open models have it (vLLM, llama.cpp, Together); it is the paper's quantity.
- `chat`: POST /chat/completions with log-probabilities, for models that only chat. At places spread evenly over the
  text the model is asked to go on; what counts is the probability of those first tokens, among the likeliest 20, that
  the text goes on with. One request a place. What is not among the 20 counts as 0, and the frame is not the text's: to
  be compared with itself only.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from mleb_core.gateway.asking import AskedModel, ModelError
from mleb_familiarity.passages import Passage, pieces

__all__ = ["Familiarity", "Mode", "NoLogprobsError", "familiarity", "mode_of"]

Mode = Literal["echo", "chat"]
PIECE_CHARACTERS = 6000
"""Characters of a request; tokens at its begin know little of what was before, so short pieces say less."""
PLACES = 40
"""Places of a passage at which a chat is asked to go on."""
BEFORE_CHARACTERS = 4000
"""Characters before a place that a chat is shown."""
TOP = 20
MOST_CHARACTERS_A_TOKEN = 30
SYSTEM = (
    "You are shown the begin of a text. Go on with it, word for word as the original does, from where it stops. "
    "Answer with the continuation only, beginning with its next word."
)


class NoLogprobsError(ModelError):
    """The model's provider tells no log-probabilities in the way that was asked for."""

    def __init__(self, line: str) -> None:
        """Args:
        line: the message.
        """
        super().__init__(line, "no_logprobs")


@dataclass(frozen=True)
class Familiarity:
    """How well a model knows some passages."""

    mode: Mode
    """How it was measured."""
    probability: float
    """Mean over the passages of the mean token probability, 0 to 1."""
    logprob: float | None
    """Mean over the passages of the mean natural log-probability; None for chats, where some are unknown."""
    tokens: int
    """Tokens, or places, that were counted."""
    passages: tuple[tuple[str, float, int], ...]
    """Name, mean probability and tokens of each."""


def mode_of(model: AskedModel) -> Mode:
    """The better of the ways in which a model can be measured, found by asking.

    Raises:
        ModelError: neither works; the message says why not.
    """
    probe = "The quick brown fox jumps over the lazy dog."
    try:
        _echoed(model, probe)
        return "echo"
    except ModelError as error:
        if error.kind in ("budget_reached", "provider_unreachable", "provider_refused_key", "gateway_error"):
            raise
        why = str(error)
    try:
        _next(model, probe[:20], probe[20:])
    except ModelError as error:
        raise NoLogprobsError(f"neither text completions ({why}) nor chats ({error}) tell log-probabilities") from None
    return "chat"


def familiarity(
    model: AskedModel,
    passages: Sequence[Passage],
    mode: Mode,
    *,
    places: int = PLACES,
    at_once: int = 4,
    progress: Callable[[str], None] | None = None,
) -> Familiarity:
    """How well a model knows some passages.

    Args:
        model: open.
        passages: at least one.
        mode: the same for all that is compared.
        places: of a passage, for chats.
        at_once: requests at a time.
        progress: gets a few words now and then.

    Raises:
        ModelError: it does not answer, or tells no log-probabilities.
        ValueError: no passages.
    """
    if not passages:
        raise ValueError("there are no passages")
    measured = []
    with ThreadPoolExecutor(max_workers=max(1, at_once)) as pool:
        for passage in passages:
            if progress:
                progress(passage.name)
            if mode == "echo":
                jobs = pool.map(lambda piece: _echoed(model, piece), pieces(passage.text, PIECE_CHARACTERS))
                values = [value for found in jobs for value in found]
                probabilities = [math.exp(value) for value in values]
                logprob = math.fsum(values) / len(values) if values else None
            else:
                asked = [_around(passage.text, place) for place in _places(passage.text, places)]
                probabilities = list(pool.map(lambda pair: _next(model, *pair), asked))
                logprob = None
            if probabilities:
                mean = math.fsum(probabilities) / len(probabilities)
                measured.append((passage.name, mean, len(probabilities), logprob))
    if not measured:
        raise NoLogprobsError(f"{model.model}: no token of the passages could be measured")
    logprobs = [one[3] for one in measured if one[3] is not None]
    return Familiarity(
        mode,
        math.fsum(one[1] for one in measured) / len(measured),
        math.fsum(logprobs) / len(logprobs) if logprobs else None,
        sum(one[2] for one in measured),
        tuple(one[:3] for one in measured),
    )


def _echoed(model: AskedModel, text: str) -> list[float]:
    """The log-probabilities of a text's tokens; the first has none."""
    # One token is generated and left out: some servers refuse to generate none.
    body = {"prompt": text, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0}
    reply = model.ask("/completions", body)
    told = _of_prompt(reply)  # Together tells the prompt apart
    size = None
    if told is None:
        choice = _first(reply.get("choices"))
        told, size = choice.get("logprobs"), len(text)
    values = told.get("token_logprobs") if isinstance(told, dict) else None
    if not isinstance(values, list):
        raise NoLogprobsError(f"{model.model} tells no log-probabilities of text completions")
    offsets = told.get("text_offset") if isinstance(told, dict) else None
    if size is not None:
        if isinstance(offsets, list) and len(offsets) == len(values):
            values = [value for value, offset in zip(values, offsets, strict=True) if _number(offset, -1.0) < size]
        else:
            values = values[:-1]
    found = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    few = len(found) + 1 < len(text) / MOST_CHARACTERS_A_TOKEN  # those of what it wrote, and not of what it was shown
    if few or len(found) < len(values) - 1:
        raise NoLogprobsError(f"{model.model} does not echo log-probabilities of the prompt")
    return [min(0.0, float(value)) for value in found]


def _of_prompt(reply: dict[str, Any]) -> dict[str, Any] | None:
    told = _first(reply.get("prompt")).get("logprobs")
    return told if isinstance(told, dict) else None


def _first(items: Any) -> dict[str, Any]:
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def _places(text: str, most: int) -> list[int]:
    """Begins of words, spread evenly over a text; the first tenth, of which a model knows too little, has none."""
    begins = [match.start() for match in re.finditer(r"(?<=\s)\w", text)]
    begins = [begin for begin in begins if begin >= len(text) // 10]
    if len(begins) <= most:
        return begins
    return [begins[round(place * (len(begins) - 1) / max(1, most - 1))] for place in range(most)]


def _around(text: str, place: int) -> tuple[str, str]:
    return text[max(0, place - BEFORE_CHARACTERS) : place].rstrip(), text[place : place + 100]


def _next(model: AskedModel, before: str, after: str) -> float:
    """The probability that a chat goes on as the text does, by its first token."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": before}]
    body = {"messages": messages, "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": TOP}
    reply = model.ask("/chat/completions", body)
    told = _first(reply.get("choices")).get("logprobs")
    token = _first(told.get("content")) if isinstance(told, dict) else {}
    if not token:
        raise NoLogprobsError(f"{model.model} tells no log-probabilities of chats")
    return min(1.0, math.fsum(_agreeing(token, after.lstrip())))


def _agreeing(token: dict[str, Any], after: str) -> Iterable[float]:
    """Probabilities of the tokens with which a text can begin."""
    seen: dict[str, float] = {}
    top = token.get("top_logprobs")
    for one in [*(top if isinstance(top, list) else ()), token]:
        if isinstance(one, dict) and isinstance(one.get("token"), str):
            seen.setdefault(one["token"], min(0.0, _number(one.get("logprob"), -math.inf)))
    return [math.exp(value) for word, value in seen.items() if word.strip() and after.startswith(word.lstrip())]
