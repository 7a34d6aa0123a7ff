"""The submission checker and those who are slow, go away, or break: nobody else notices."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from checker_desk import KEY, Desk, Says

from mleb_core.gateway import Gateway, GatewayLimits
from mleb_core.grading.checker import Checked
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey


def part(name: str, content: bytes, filename: str = "; filename=a") -> bytes:
    return (
        b'--B\r\ncontent-disposition: form-data; name="'
        + name.encode()
        + b'"'
        + filename.encode()
        + b"\r\n\r\n"
        + content
    )


def connection(at: Desk) -> socket.socket:
    host, _, port = at.gateway.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def head(at: Desk, length: int) -> bytes:
    return (
        "POST /validate HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=B\r\n"
        f"x-api-key: {at.token}\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


def test_a_slow_upload_is_cut(desk: Any) -> None:
    with desk(check_upload_s=0.3) as at:
        with connection(at) as client:
            client.sendall(head(at, 1000) + part("file", b"x"))
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["result"] == "the file did not arrive within 0.3 s"
        assert at.post(b"x").status_code == 200


def test_a_client_that_goes_away(desk: Any) -> None:
    with desk() as at:
        for cut in (0, 1, 2_000_000):
            with connection(at) as client:
                client.sendall(head(at, 10_000_000) + part("file", b"x" * cut))
        answer = at.post(b"x")
        while answer.status_code == 429:  # the gateway has not heard yet
            answer = at.post(b"x")
        assert answer.json() == {"result": "1 bytes"}


def test_a_run_that_ends_meanwhile(desk: Any) -> None:
    go = threading.Event()
    slow = Says(go)
    with desk(slow) as at:
        got: list[httpx2.Response] = []
        thread = threading.Thread(target=lambda: got.append(at.post(b"one")))
        thread.start()
        assert slow.asked.wait(60)
        at.gateway.close_run(at.token)
        thread.join()
        assert (got[0].status_code, got[0].json()["result"]) == (401, "the run has ended")
        assert at.leftovers() == []
        slow.check = None  # type: ignore[method-assign,assignment]
        go.set()


class Broken:
    """A checker with a fault; what it says of it is for the harness."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def check(self, submission: Path) -> Checked:
        if self.error:
            raise self.error
        return Checked(False, "no verdict", "the answers /secret/answers.csv are missing")


@pytest.mark.parametrize("error", [ValueError("/secret/answers.csv"), None])
def test_a_broken_checker_tells_the_harness_only(tmp_path: Path, error: Exception | None) -> None:
    layout = RunLayout(tmp_path)
    with Gateway() as gateway:
        at = Desk(gateway, layout, gateway.register_run(KEY, layout, checker=Broken(error)), [])
        answer = at.post(b"x")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert len(gateway.problems) == 1 and "/secret/answers.csv" in gateway.problems[0]
        assert at.leftovers() == []


def test_a_listener_that_fails_costs_the_agent_nothing(tmp_path: Path) -> None:
    def listen(key: RunKey, facts: dict[str, Any]) -> None:
        raise OSError("the disk is full")

    layout = RunLayout(tmp_path)
    with Gateway(on_check=listen) as gateway:
        at = Desk(gateway, layout, gateway.register_run(KEY, layout, checker=Says()), [])
        assert at.post(b"x").status_code == 200
        assert len(gateway.problems) == 1 and "the disk is full" in gateway.problems[0]


def test_a_run_directory_that_is_gone(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path / "run")
    layout.root.mkdir()
    with Gateway() as gateway:
        at = Desk(gateway, layout, gateway.register_run(KEY, layout, checker=Says()), [])
        moved = layout.root.rename(tmp_path / "moved")
        answer = at.post(b"x")
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
        assert len(gateway.problems) == 1
        moved.rename(layout.root)
        assert at.post(b"x").status_code == 200


def test_many_runs_at_once(tmp_path: Path) -> None:
    """Each hears of its own file; nothing is left: no file, thread or handle."""
    process = psutil.Process()
    handles = process.num_fds()
    with Gateway(limits=GatewayLimits(checks_a_minute=1000)) as gateway:
        desks = []
        for seed in range(6):
            layout = RunLayout(tmp_path / str(seed))
            layout.root.mkdir()
            key = KEY.model_copy(update={"seed": seed})
            desks.append(Desk(gateway, layout, gateway.register_run(key, layout, checker=Says()), []))
        answers: dict[int, list[str]] = {}

        def work(seed: int) -> None:
            answers[seed] = [desks[seed].post(b"x" * (seed * 1000 + turn)).json()["result"] for turn in range(3)]

        for _ in range(2):
            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert answers == {s: [f"{s * 1000 + turn} bytes" for turn in range(3)] for s in range(6)}
        names = [thread.name for thread in threading.enumerate()]
        assert sum(name.startswith("mleb-check") for name in names) <= GatewayLimits().checks
        assert not list(tmp_path.glob("*/*check*"))
        assert gateway.problems == ()
    for thread in threading.enumerate():
        if thread.name.startswith("mleb-"):
            thread.join()  # idle ones end by themselves; pytest's own limit ends a wait in vain
    assert process.num_fds() <= handles
