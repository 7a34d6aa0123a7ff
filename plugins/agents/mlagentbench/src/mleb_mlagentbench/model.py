"""Asks the language model, through the gateway."""

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request

from mleb_mlagentbench.ends import BudgetReached, ModelFailed, TimeUp, TooLong, one_line

__all__ = ["Model"]

MODEL = "mleb-model"
"""The gateway's name for the model."""
PASSING = (408, 409, 425, 429)
"""Statuses, beside 5xx, after which it is worth asking again."""
LASTING = ("provider_refused_key", "provider_redirects", "insufficient_quota")
"""Types of errors that stay whatever their status."""
TOO_LONG = re.compile(r"context.?(length|window)|too (long|large|many tokens)|maximum.{0,40}tokens", re.IGNORECASE)
LONGEST_PAUSE_S = 60.0


class Model:
    """The model of a run."""

    def __init__(self, name: str, end: float, *, tries: int, temperature: float | None) -> None:
        """Args:
        name: for messages.
        end: `time.monotonic()` when the time of the run is up.
        tries: requests in a row that may fail.
        temperature: None: not said.
        """
        self.name, self.end, self.tries = name, end, tries
        self._further = {} if temperature is None else {"temperature": temperature}

    def ask(self, prompt: str) -> str:
        """The model's reply to one message.

        Raises:
            BudgetReached: no more model calls in this run.
            TimeUp: the time of the run is up.
            TooLong: the prompt is longer than the model takes.
            ModelFailed: it cannot be asked, as far as it was worth trying.
        """
        for number in range(1, self.tries + 1):
            if self.end - time.monotonic() <= 0:
                raise TimeUp("time is up")
            try:
                status, body = self._asked(prompt)
                if status == 200:
                    return str(json.loads(body)["choices"][0]["message"]["content"] or "")
                failure, again = self._told(status, body)
            except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
                failure, again = one_line(f"{type(error).__name__}: {error}"), True
            if time.monotonic() >= self.end:
                raise TimeUp("time is up")
            if not again or number == self.tries:
                times = f" {number} times" if number > 1 else ""
                raise ModelFailed(f"the model cannot be asked ({self.name}: {failure}{times})")
            pause = min(2.0**number, LONGEST_PAUSE_S, max(0.0, self.end - time.monotonic()))
            print(f"{self.name}: {failure}; again in {pause:.0f} s", flush=True)
            time.sleep(pause)
        raise AssertionError("a last try either answers or raises")

    def _asked(self, prompt: str) -> tuple[int, str]:
        """Status and body of the gateway's answer."""
        content = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], **self._further}
        request = urllib.request.Request(  # the gateway, over http on 127.0.0.1
            os.environ["OPENAI_BASE_URL"] + "/chat/completions",
            json.dumps(content).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=max(1.0, self.end - time.monotonic())) as response:
                return 200, response.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def _told(self, status: int, body: str) -> tuple[str, bool]:
        """What an error reply says, and whether it is worth asking again.

        Raises:
            BudgetReached, TooLong: it says that.
        """
        try:
            error = json.loads(body)["error"]
            kind, text = str(error.get("type")), str(error.get("message"))
        except (ValueError, LookupError, TypeError, AttributeError):
            kind, text = "", body
        if kind == "budget_reached":
            raise BudgetReached(f"the budget is reached ({one_line(text)})")
        if status in (400, 413, 422) and TOO_LONG.search(text):
            raise TooLong(one_line(text))
        passing = (status in PASSING or status >= 500) and kind not in LASTING
        return f"status {status}: {one_line(text)}", passing
