"""Why a run of the agent ends, each in one line."""

__all__ = ["ActionError", "BudgetReached", "End", "ModelFailed", "Stopped", "TimeUp", "TooLong", "one_line"]


class End(Exception):
    """The agent ends. The message is one line; `good` where a submission makes it a success all the same."""

    good = True


class BudgetReached(End):
    """No more model calls in this run."""


class TimeUp(End):
    """The time of the run is used up."""


class ModelFailed(End):
    """The model cannot be asked, or its replies cannot be used."""

    good = False


class Stopped(End):
    """A signal asked for it."""

    good = False


class TooLong(Exception):
    """A request is longer than the model takes."""


class ActionError(Exception):
    """An action cannot be done; the message is told to the model."""


def one_line(text: str, most: int = 300) -> str:
    """A text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
