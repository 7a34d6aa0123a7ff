"""The submission checker over real HTTP: what honest agents hear, and what hostile ones get."""

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from checker_desk import KEY, Says

from mleb_core.errors import UsageError
from mleb_core.gateway import Budget
from mleb_core.grading.checker import Checker
from mleb_core.grading.pool import GradingPool
from mleb_core.layout import RunLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.testing.model_server import Reply


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
