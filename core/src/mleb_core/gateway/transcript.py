"""transcript.jsonl: every exchange of a run with its models, a JSON object a line, without secrets.

    {"time", "number", "endpoint", "asked", "model", "status", "error", "stream", "seconds", "first_byte_s", "retries",
     "tokens", "estimated", "cost_usd", "request", "reply"}

`request` is what was sent to the provider; `reply` what came back, a stream put together to the reply that would have
come unstreamed. `cost_usd` is null where the price is unknown. The transcript is the truth about a run's usage:
`usage_in` adds it up, also after the harness was killed.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mleb_core.gateway.records import ModelUsage, Tokens, Usage

__all__ = ["REMOVED", "Secrets", "Transcript", "usage_in"]

REMOVED = b"[removed]"
SHORTEST_SECRET = 8  # shorter keys are placeholders ("EMPTY"), and would tear holes into ordinary words


class Secrets:
    """Texts that must not be seen: providers' keys and runs' tokens."""

    def __init__(self, texts: Iterable[str | None] = ()) -> None:
        """Args:
        texts: the secrets; placeholders of fewer than 8 characters are none.
        """
        self._texts: set[bytes] = set()
        for text in texts:
            self.add(text)

    def add(self, text: str | None) -> None:
        """Also keep this one."""
        if text and len(text) >= SHORTEST_SECRET:
            self._texts |= {text.encode(), json.dumps(text)[1:-1].encode()}

    def remove_from(self, data: bytes) -> bytes:
        """The same with every secret replaced by `[removed]`."""
        for text in self._texts:
            if text in data:
                data = data.replace(text, REMOVED)
        return data


class Transcript:
    """Appends lines to a transcript; a line is there whole or not at all."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        """Args:
        path: the file; may be there already.
        most_bytes: once the file is larger, requests and replies are given by size and sha256 alone.

        Raises:
            OSError: what a killed harness left behind cannot be mended.
        """
        self.path, self.most_bytes = path, most_bytes
        self.size = _mend(path)

    def add(self, facts: dict[str, Any], request: bytes, reply: bytes, secrets: Secrets) -> bytes:
        """Add a line.

        Args:
            facts: everything but request and reply.
            request: JSON without line breaks.
            reply: likewise.
            secrets: removed from all of it.

        Returns:
            The line as it was written.

        Raises:
            OSError: as open and write give it; a part of a line is taken back.
        """
        if self.size + len(request) + len(reply) > self.most_bytes:
            request, reply = _digest(request), _digest(reply)
        head = json.dumps(facts, ensure_ascii=True).encode()[:-1]
        line = secrets.remove_from(head + b', "request": ' + request + b', "reply": ' + reply + b"}") + b"\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC  # no link of an agent's
        handle = os.open(self.path, flags, 0o644)
        try:
            written = os.write(handle, line)
            if written != len(line):
                os.ftruncate(handle, os.fstat(handle).st_size - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        finally:
            os.close(handle)
        self.size += len(line)
        return line


def _digest(data: bytes) -> bytes:
    return json.dumps({"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}).encode()


def _mend(path: Path) -> int:
    """Take back a line that a killed harness did not finish. Returns the file's size."""
    if not path.exists():
        return 0
    with path.open("rb+") as stream:
        size = end = stream.seek(0, os.SEEK_END)
        while end and size:
            start = max(0, end - 65536)
            stream.seek(start)
            if (found := stream.read(end - start).rfind(b"\n")) >= 0:
                break
            end = start
        whole = start + found + 1 if size and found >= 0 else 0
        if whole != size:
            stream.truncate(whole)
        return whole


def usage_in(path: Path) -> Usage:
    """What a transcript adds up to; no file: nothing was used. Lines that are no exchange count for nothing.

    Raises:
        OSError: it cannot be read.
    """
    models: dict[str, ModelUsage] = {}
    if path.exists():
        with path.open("rb") as stream:
            for line in stream:
                try:
                    facts = json.loads(line)
                    model, use = facts["model"], usage_of(facts)
                except (ValueError, KeyError, TypeError, RecursionError, ValidationError):
                    continue
                models[model] = models.get(model, ModelUsage()) + use
    return Usage.of(models)


def usage_of(facts: dict[str, Any]) -> ModelUsage:
    """What one line of a transcript adds."""
    cost = facts["cost_usd"]
    return ModelUsage(
        requests=1,
        tokens=Tokens.model_validate(facts["tokens"]),
        known_cost_usd=cost or 0.0,
        unpriced=int(cost is None),
        estimated=int(facts["estimated"]),
        failed=int(facts["error"] is not None),
        retries=facts["retries"],
        seconds=facts["seconds"],
    )
