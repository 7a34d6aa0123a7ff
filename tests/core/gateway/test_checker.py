"""The submission checker over real HTTP: what honest agents hear, and what hostile ones get."""

import contextlib
import dataclasses
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from mleb_core.errors import UsageError
from mleb_core.gateway import Budget, Gateway, GatewayLimits
from mleb_core.grading.checker import Checked, Checker
from mleb_core.grading.pool import GradingPool
from mleb_core.layout import RunLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import RunKey
from mleb_core.testing.model_server import Reply

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


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Desk]]:
    @contextlib.contextmanager
    def make(checker: Any = None, **options: Any) -> Iterator[Desk]:
        layout = RunLayout(tmp_path / "run")
        layout.root.mkdir(exist_ok=True)
        told: list[tuple[RunKey, dict[str, Any]]] = []
        unix = options.pop("own", None)
        options = {"limits": GatewayLimits(**{"checks_a_minute": 1000, **options})}
        with Gateway(on_check=lambda key, facts: told.append((key, facts)), **options) as gateway:
            token = gateway.register_run(KEY, layout, checker=checker or Says(), unix=unix)
            at = Desk(gateway, layout, token, told)
            yield at
            assert gateway.problems == ()
            assert at.leftovers() == []

    return make


def test_a_real_submission(desk: Any, tmp_path: Path) -> None:
    """From the form to the grading process and back."""
    competition = Registry().competition("titanic-survival")
    data = prepare(competition, tmp_path / "data")
    sample = (data.public / "sample_submission.csv").read_bytes()
    with GradingPool() as pool, Checker(competition, tmp_path / "data", pool) as checker, desk(checker) as at:
        good = at.post(sample)
        assert (good.status_code, good.json()) == (200, {"result": "Submission is valid."})
        bad = at.post(sample.replace(b"\n", b"\n999999,1\n", 1))
        assert bad.status_code == 200
        assert bad.json()["result"].startswith("Submission is not valid: row 1 (id 999999): the id is unknown")
        zipped = at.post(b"PK\x03\x04\0\0\0")
        assert zipped.json()["result"] == (
            "Submission is not valid: submission 'submission.csv': line 1 holds a NUL byte; a CSV text file is expected"
        )
        empty = at.post(b"")
        assert "it is empty" in empty.json()["result"]
    assert [(key, facts["valid"], facts["bytes"]) for key, facts in at.told] == [
        (KEY, True, len(sample)),
        (KEY, False, len(sample) + 9),
        (KEY, False, 7),
        (KEY, False, 0),
    ]
    first = at.told[0][1]
    assert sorted(first) == ["bytes", "refused_before", "result", "seconds", "sha256", "status", "time", "valid"]
    assert first["sha256"] == hashlib.sha256(sample).hexdigest()


def test_who_may_ask(desk: Any, tmp_path: Path) -> None:
    own = tmp_path / "own.sock"
    with desk(own=own) as at:
        assert at.post(b"x").json() == {"result": "1 bytes"}
        assert at.post(b"x", authorization="Bearer mleb-of-another").status_code == 401
        assert at.post(b"x", authorization="").json()["result"] == "no run has this token"
        second = RunLayout(tmp_path / "second")
        second.root.mkdir()
        other = at.gateway.register_run(KEY.model_copy(update={"seed": 1}), second)
        nothing = at.post(b"x", authorization=f"Bearer {other}")
        assert (nothing.status_code, nothing.json()["result"]) == (404, "this run has no submission checker")
        with httpx2.Client(transport=httpx2.HTTPTransport(uds=str(own))) as client:
            assert client.get("http://x/health").json() == {"status": "running"}
            form = {"file": ("s.csv", b"abc")}
            assert client.post("http://x/validate", files=form).json() == {"result": "3 bytes"}
            wrong = client.post("http://x/validate", files=form, headers={"x-api-key": other})
            assert wrong.status_code == 401, "the socket is of one run, the token of another"
            assert client.get("http://x/validate").status_code == 405
        at.gateway.close_run(at.token)
        assert at.post(b"x").status_code == 401


def test_a_gateway_without_models(desk: Any) -> None:
    with desk() as at, httpx2.Client(headers={"x-api-key": at.token}) as client:
        with pytest.raises(UsageError, match="no model is given"):
            at.gateway.check()
        for path in ("chat/completions", "messages"):
            answer = client.post(f"{at.gateway.url}/v1/{path}", json={"model": "mleb-model", "messages": []})
            assert answer.status_code == 404
            assert answer.json()["error"]["message"] == "this run has no model"
            assert answer.json()["error"]["type"] == "not_offered"
        assert client.get(f"{at.gateway.url}/v1/models").json()["data"] == []
        usage = at.gateway.close_run(at.token)
        assert usage.requests == 0


def test_models_and_checker_at_one_gateway(serve: Any) -> None:
    with serve(lambda _: Reply("yes")) as at:
        token, _ = at.register(1, Budget(requests=1), checker=Says())
        with httpx2.Client(headers={"x-api-key": token}) as client:
            assert client.post(f"{at.gateway.url}/validate", files={"file": b"12"}).json() == {"result": "2 bytes"}
        assert at.post("/v1/chat/completions", {"model": "mleb-model", "messages": []}, token).status_code == 200
        assert at.gateway.usage(token).requests == 1, "checks are no model calls"


def test_one_at_a_time_and_so_many_a_minute(desk: Any) -> None:
    go = threading.Event()
    slow = Says(go)
    with desk(slow, checks_a_minute=2) as at:
        first: list[httpx2.Response] = []
        thread = threading.Thread(target=lambda: first.append(at.post(b"one")))
        thread.start()
        assert slow.asked.wait(60)
        busy = at.post(b"two")
        assert busy.status_code == 429
        assert busy.json() == {
            "result": "a check of this run is under way; ask again in 1 s",
            "error": "too_many_requests",
            "retry_after_s": 1,
        }
        go.set()
        thread.join()
        assert first[0].json() == {"result": "3 bytes"}
        assert at.post(b"three").status_code == 200
        late = at.post(b"four")
        assert late.status_code == 429
        assert late.json()["result"].startswith("2 checks a minute are possible; ask again in ")
        assert 0 < late.json()["retry_after_s"] <= 60
        assert late.headers["retry-after"] == str(late.json()["retry_after_s"])
        assert slow.seen == [b"one", b"three"]
        assert [(facts["result"], facts["refused_before"]) for _, facts in at.told] == [("3 bytes", 1), ("5 bytes", 0)]


def part(name: str, content: bytes, filename: str = "; filename=a") -> bytes:
    return (
        b'--B\r\ncontent-disposition: form-data; name="'
        + name.encode()
        + b'"'
        + filename.encode()
        + b"\r\n\r\n"
        + content
    )


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (b"id,y\n1,2\n", "text/csv", "a form (multipart/form-data)"),
        (b"", "multipart/form-data", "a form (multipart/form-data)"),
        (b"", "multipart/form-data; boundary=" + "B" * 300, "a form (multipart/form-data)"),
        (b"", "multipart/form-data; boundary=B", "ends in the middle"),
        (b"nonsense", "multipart/form-data; boundary=B", ""),
        (b"\r\n" * 100_000, "multipart/form-data; boundary=B", ""),
        (part("file", b"x"), "multipart/form-data; boundary=B", "ends in the middle"),
        (part("file", b"x") + b"\r\n--B", "multipart/form-data; boundary=B", "ends in the middle"),
        (part("other", b"x") + b"\r\n--B--\r\n", "multipart/form-data; boundary=B", "no field 'file'"),
        (
            part("file", b"x") + b"\r\n" + part("file", b"y") + b"\r\n--B--\r\n",
            "multipart/form-data; boundary=B",
            "more than one field 'file'",
        ),
        (
            b"\r\n".join(part(f"p{i}", b"") for i in range(50)) + b"\r\n--B--\r\n",
            "multipart/form-data; boundary=B",
            "more than 16 parts",
        ),
        (part("other", b"x" * 100_000) + b"\r\n--B--\r\n", "multipart/form-data; boundary=B", "too much beside"),
        (b"--B\r\n" + b"x" * 100_000 + b": y\r\n\r\n", "multipart/form-data; boundary=B", ""),
        (b"--B\r\n" + b"a: b\r\n" * 5000 + b"\r\n", "multipart/form-data; boundary=B", ""),
        (
            b'--B\r\ncontent-disposition: \xff\xfe; name="file"\r\n\r\nx\r\n--B--\r\n',
            "multipart/form-data; boundary=B",
            "",
        ),
    ],
)
def test_bad_forms(desk: Any, body: bytes, content_type: str, words: str) -> None:
    with desk() as at:
        status, answer = at.raw(body, content_type)
        assert status == 400, answer
        assert words in answer["result"] and "\n" not in answer["result"]
        assert answer["error"] == "invalid_request_error"
        assert at.post(b"fine").status_code == 200, "the run goes on"
        assert [facts["status"] for _, facts in at.told] == [400, 200]


def test_other_fields_and_any_content(desk: Any) -> None:
    says = Says()
    content = b"\r\n--B\r\n--Bx\r\n-\r\n" * 1000 + bytes(range(256)) + b"\r\n--"
    with desk(says) as at:
        body = (
            part("comment", b"hi", "")
            + b"\r\n"
            + part("file", content.replace(b"--B\r\n", b"--C\r\n"))
            + b"\r\n--B--\r\n"
        )
        assert at.raw(body)[0] == 200
        assert says.seen == [content.replace(b"--B\r\n", b"--C\r\n")]


@pytest.mark.parametrize("told", [True, False])
def test_too_large(desk: Any, told: bool) -> None:
    with desk(check_bytes=3_000_000) as at:

        def pieces() -> Iterator[bytes]:
            yield part("file", b"")
            for _ in range(40):
                yield b"x" * 100_000
            yield b"\r\n--B--\r\n"

        body = b"".join(pieces())
        with httpx2.Client(timeout=60) as client:
            answer = client.post(
                f"{at.gateway.url}/validate",
                content=body if told else pieces(),
                headers={"x-api-key": at.token, "content-type": "multipart/form-data; boundary=B"},
            )
        assert answer.status_code == 413
        assert answer.json()["result"] == "the file is larger than 3,000,000 bytes"
        assert at.post(b"x" * 3_000_000).json() == {"result": "3000000 bytes"}


def test_all_files_under_way_are_limited_together(desk: Any) -> None:
    with desk(checks_bytes=1_000_000) as at:
        much = at.post(b"x" * 3_000_000)
        assert (much.status_code, much.json()["retry_after_s"]) == (429, 10)
        assert at.post(b"x" * 900_000).status_code == 200
        assert at.post(b"x" * 900_000).status_code == 200, "what was under way before counts no more"


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
