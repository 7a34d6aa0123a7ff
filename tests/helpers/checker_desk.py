"""What tests of the submission checker share: a checker that only looks, and a client of the gateway's route."""

import dataclasses
import threading
from pathlib import Path
from typing import Any

import httpx2

from mleb_core.gateway import Gateway
from mleb_core.grading.checker import Checked
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey

KEY = RunKey(competition="titanic-survival", agent="aide/test", seed=0)


class Says:
    """A checker that reads the file and says how large it is; where told to, it waits."""

    def __init__(self, go: threading.Event | None = None) -> None:
        self.go, self.asked = go, threading.Event()
        self.seen: list[bytes] = []

    def check(self, submission: Path) -> Checked:
        self.asked.set()
        if self.go is not None:
            assert self.go.wait(60)
        self.seen.append(submission.read_bytes())
        return Checked(True, f"{submission.stat().st_size} bytes")


@dataclasses.dataclass
class Desk:
    gateway: Gateway
    layout: RunLayout
    token: str
    told: list[tuple[RunKey, dict[str, Any]]]

    def post(self, content: bytes, name: str = "file", **headers: str) -> httpx2.Response:
        with httpx2.Client(timeout=60) as client:
            headers = {"authorization": f"Bearer {self.token}", **headers}
            return client.post(
                f"{self.gateway.url}/validate", files={name: ("submission.csv", content)}, headers=headers
            )

    def raw(self, body: bytes, content_type: str = "multipart/form-data; boundary=B") -> tuple[int, dict[str, Any]]:
        """A body as it is."""
        with httpx2.Client(timeout=60) as client:
            headers = {"x-api-key": self.token, "content-type": content_type}
            answer = client.post(f"{self.gateway.url}/validate", content=body, headers=headers)
            return answer.status_code, answer.json()

    def leftovers(self) -> list[str]:
        return [path.name for path in self.layout.root.iterdir() if "check" in path.name]
