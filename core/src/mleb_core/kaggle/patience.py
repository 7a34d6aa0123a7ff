"""What is tried again, when, and how often."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, TypeVar

from mleb_core.errors import PreparationError

__all__ = ["Again", "KaggleError", "Patience", "Reason", "Tries", "persist", "retry_after"]

Reason = Literal["credentials", "rules", "unknown", "busy", "unreachable", "answer"]
Value = TypeVar("Value")


class KaggleError(PreparationError):
    """Kaggle does not give what was asked for, and asking again at once is of no use."""

    def __init__(self, line: str, reason: Reason) -> None:
        """Args:
        line: the message.
        reason: credentials: none, or refused; rules: not accepted; unknown: no such competition; busy: too many
            requests or a failing server, again and again; unreachable: no connection; answer: anything else.
        """
        super().__init__(line)
        self.reason: Reason = reason


class Again(Exception):
    """A failure that may pass."""

    def __init__(self, what: str, reason: Reason, wait_s: float | None = None) -> None:
        """Args:
        what: what happened, in words that end a sentence.
        reason: as in KaggleError.
        wait_s: how long the server asks to wait (Retry-After), if it does.
        """
        super().__init__(what)
        self.reason: Reason = reason
        self.wait_s = wait_s


@dataclass(frozen=True)
class Patience:
    """How long a caller bears with failures that may pass."""

    tries: int = 5
    """Failures in a row, none of them bringing a byte, after which it is given up."""
    first_s: float = 1.0
    """Wait after the first; doubled after each, and a quarter more or less at random."""
    longest_s: float = 60.0
    """Longest wait of one's own accord."""
    longest_asked_s: float = 900.0
    """Longest wait that a server may ask for; beyond, it is given up at once."""
    timeout_s: float = 60.0
    """How long a connection may say nothing."""


class Tries:
    """Counts failures in a row."""

    def __init__(self, patience: Patience, about: str) -> None:
        """Args:
        patience: the limits.
        about: what is wanted, to begin messages with.
        """
        self._patience, self._about, self._failed = patience, about, 0

    def succeeded(self) -> None:
        """Something came: count from the start."""
        self._failed = 0

    def failed(self, again: Again) -> None:
        """Wait before another try.

        Raises:
            KaggleError: that was the last.
        """
        self._failed += 1
        limits = self._patience
        if again.wait_s is not None and again.wait_s > limits.longest_asked_s:
            minutes = round(again.wait_s / 60)
            raise KaggleError(f"{self._about}: {again}, and asks to wait {minutes} minutes; run it again then",
                              again.reason) from None  # fmt: skip
        if self._failed >= limits.tries:
            raise KaggleError(f"{self._about}: {again} ({self._failed} tries); run it again later",
                              again.reason) from None  # fmt: skip
        own = min(limits.longest_s, limits.first_s * 2 ** (self._failed - 1)) * random.uniform(0.75, 1.25)
        time.sleep(own if again.wait_s is None else again.wait_s)


def persist(action: Callable[[], Value], patience: Patience, about: str) -> Value:
    """Do something until it does not raise `Again`.

    Raises:
        KaggleError: patience is at its end.
    """
    tries = Tries(patience, about)
    while True:
        try:
            return action()
        except Again as again:
            tries.failed(again)


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header: a number, or a date; None for anything else."""
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
