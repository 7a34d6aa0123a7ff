"""Recordings of exchanges, so that a run can be repeated without a provider.

    DIR/<competition>_<agent>_seed_<n>-<digest>/<exact>-<loose>-<number>.json

A recording is found by the run (competition, agent, seed), the endpoint and the request. `exact` is a digest of the
request without what differs between repetitions by nature (the run's directory, tokens, labels for the provider);
`loose` also without numbers, UUIDs and names of temporary files, for agents whose prompts tell times. Equal requests
get their recordings in the order in which they were made, each once.
"""

import hashlib
import json
import re
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from mleb_core.gateway.providers import Endpoint
from mleb_core.layout import write_whole
from mleb_core.run import RunKey

__all__ = ["Recorder", "Recording", "Replay", "digests"]

VOLATILE = {"user", "metadata", "stream_options", "service_tier", "store", "prompt_cache_key", "safety_identifier"}
LOOSE = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|0x[0-9a-f]+|tmp[a-z0-9_]{8}|[0-9]+(?:\.[0-9]+)?")


class Recording:
    """A recorded exchange."""

    def __init__(self, path: Path) -> None:
        """Args:
        path: its file.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no recording.
        """
        data = json.loads(path.read_bytes())
        try:
            self.status: int = data["status"]
            self.content_type: str = data["content_type"]
            self.body: bytes = data["body"].encode()
            self.model: str = data["model"]
            self.cost_usd: float | None = data["cost_usd"]
        except (KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} is no recording") from None


def digests(endpoint: Endpoint, body: dict[str, Any], roots: list[str]) -> tuple[str, str]:
    """The exact and the loose digest of a request.

    Args:
        endpoint: what was asked.
        body: the request as the agent sent it.
        roots: texts that stand for the run's own directory and token.
    """
    kept = {key: value for key, value in body.items() if key not in VOLATILE}
    text = json.dumps([endpoint, kept], sort_keys=True)
    for root in sorted(roots, key=len, reverse=True):
        text = text.replace(json.dumps(root)[1:-1], "{run}")
    loose = LOOSE.sub("0", text)
    return hashlib.sha256(text.encode()).hexdigest()[:32], hashlib.sha256(loose.encode()).hexdigest()[:32]


def _folder(root: Path, key: RunKey) -> Path:
    name = re.sub(r"[^A-Za-z0-9.@+-]+", "_", str(key))
    return root / f"{name[:150]}-{hashlib.sha256(str(key).encode()).hexdigest()[:8]}"


class Recorder:
    """Writes the recordings of one run."""

    def __init__(self, root: Path, key: RunKey, *, go_on: bool) -> None:
        """Args:
        root: where all recordings are.
        key: the run.
        go_on: whether recordings of the run that are there stay; else they are of an earlier attempt and go.

        Raises:
            OSError: the folder cannot be made.
        """
        self.folder = _folder(root, key)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.number = 0
        for path in self.folder.glob("*.json"):
            if go_on:
                self.number = max(self.number, int(path.stem.rpartition("-")[2]))
            else:
                path.unlink()

    def next_number(self) -> int:
        """The place of a request that starts now."""
        self.number += 1
        return self.number

    def add(self, number: int, found_by: tuple[str, str], facts: dict[str, Any]) -> None:
        """Write a recording.

        Raises:
            OSError: as `write_whole` gives it.
        """
        path = self.folder / f"{found_by[0]}-{found_by[1]}-{number:06d}.json"
        write_whole(path, json.dumps(facts), durable=False)


class Replay:
    """The recordings of one run, each given once."""

    def __init__(self, root: Path, key: RunKey) -> None:
        """Args:
        root: where all recordings are.
        key: the run.
        """
        self.folder = _folder(root, key)
        self.used: set[Path] = set()
        self.total = 0
        self._exact: dict[str, deque[Path]] = defaultdict(deque)
        self._loose: dict[str, deque[Path]] = defaultdict(deque)
        for path in sorted(self.folder.glob("*-*-*.json"), key=lambda path: path.stem.rpartition("-")[2]):
            exact, loose, _ = path.stem.split("-")
            self._exact[exact].append(path)
            self._loose[loose].append(path)
            self.total += 1

    def take(self, found_by: tuple[str, str]) -> Recording | None:
        """The next recording of a request; None: there is none, or none is left.

        Raises:
            OSError, ValueError: as `Recording`.
        """
        for queue in (self._exact[found_by[0]], self._loose[found_by[1]]):
            while queue:
                path = queue.popleft()
                if path not in self.used:
                    self.used.add(path)
                    return Recording(path)
        return None
