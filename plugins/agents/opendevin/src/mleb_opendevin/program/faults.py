"""Why a conversation of OpenHands failed: the end that stands behind an exception. Standard library alone."""

from mleb_opendevin.program.ends import one_line

__all__ = ["FINAL", "Over", "cause", "type_of"]

FINAL = {
    "authentication_error", "provider_refused_key", "model_not_found", "endpoint_not_found", "not_offered",
    "not_recorded", "insufficient_quota", "invalid_api_key",
}  # fmt: skip
"""Types of errors that another try does not mend."""


class Over(Exception):
    """No more model calls: OpenHands ends."""

    def __init__(self, end: str, detail: str) -> None:
        """Args: as `State.write`."""
        super().__init__(detail)
        self.end = end


def cause(error: BaseException | None, model: str) -> Over:
    """Why a conversation, or a request to a model of this name, failed."""
    told = None
    for one in chain(error):
        if isinstance(one, Over):
            return one
        status, body = getattr(one, "status_code", None), getattr(one, "body", None)
        if isinstance(status, int):
            message = body.get("message") if isinstance(body, dict) else None
            told = (f"status {status}", str(message or one))  # the deepest one is the server's own
        elif type(one).__name__ in ("APIConnectionError", "APITimeoutError") and told is None:
            told = ("no answer", str(one))
    if told is None:
        first = next((one for one in chain(error) if type(one).__name__ != "ConversationRunError"), error)
        return Over("crash", f"{type(first).__name__}: {first}")
    what = one_line(told[1])
    if type_of(error) == "budget_reached":
        return Over("budget", what)
    return Over("model", f"{model}: {told[0]}: {what}")


def type_of(error: BaseException | None) -> str:
    """The type that the gateway, or a provider, gave an error; empty: none."""
    bodies = [body for one in chain(error) if isinstance(body := getattr(one, "body", None), dict)]
    return next((str(body["type"]) for body in bodies if body.get("type")), "")


def chain(error: BaseException | None) -> list[BaseException]:
    """An error and what led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
