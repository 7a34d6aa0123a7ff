"""An agent that wants harm: whatever it sends, others are served, and it gets nothing it may not have."""

import contextlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from mleb_core.gateway import GatewayLimits, Retries
from mleb_core.testing.model_server import Reply

SMALL = GatewayLimits(
    request_bytes=200_000, request_parts=5000, run_requests=4, head_s=0.5, body_s=0.7, head_bytes=8192, connections=40,
    reply_bytes=300_000, retries=Retries(most=0),
)  # fmt: skip


@pytest.fixture
def at(serve):
    with serve(lambda _: Reply("fine"), limits=SMALL) as served:
        yield served
        assert served.chat().status_code == 200, "others are still served"


def raw(at, data, *, end=True):
    """Send bytes; everything that comes back until the gateway hangs up."""
    port = int(at.gateway.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        got = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                got += part
        return got


def head(at, *lines, path="/v1/chat/completions", method="POST"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", f"authorization: Bearer {at.token}", *lines, "", ""])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b"[]", 400, "must be a JSON object"),
        (b'{"model": NaN}', 400, "no JSON"),
        (b'{"model": "mleb-model", "messages": ' + b"[" * 4000 + b"]" * 4000 + b"}", 400, "nested too deeply"),
        (b'{"model": "mleb-model", "messages": [' + b"[]," * 50_000 + b"1]}", 413, "more than 5,000 parts"),
        (b'{"model": "mleb-model", "x": "' + b"x" * 200_000 + b'"}', 413, "larger than 200,000 bytes"),
        (b'{"model": {"a": 1}}', 404, "no model"),
        (b'{"model": "../../etc/passwd"}', 404, "no model"),
        (b'{"model": "anthropic/claude-3-5-sonnet-20241022"}', 404, "no model"),
        (b'{"model": "mleb-model", "n": 1e999}', 400, "no JSON"),
        ((b'{"model": "mleb-model", "n": ' + b"9" * 5000 + b"}"), 400, "no JSON"),
    ],
    ids=range(12),
)
def test_bodies(at, body, status, said):
    reply = at.post("/v1/chat/completions", body)
    assert reply.status_code == status and said in reply.json()["error"]["message"]
    assert len(at.model.asked) == 0


def test_a_body_without_end_and_without_length(at):
    chunk = b"%x\r\n%s\r\n" % (60_000, b"x" * 60_000)
    got = raw(at, head(at, "transfer-encoding: chunked").encode() + chunk * 20, end=False)
    assert b"413" in got.split(b"\r\n")[0]


def test_a_length_that_is_a_lie(at):
    got = raw(at, head(at, "content-length: 999999999999").encode() + b"{}", end=False)
    assert b"413" in got.split(b"\r\n")[0]


def test_slow_heads_and_slow_bodies_are_cut_off(at):
    assert raw(at, b"POST /v1/chat", end=False) == b""
    got = raw(at, head(at, "content-length: 100").encode() + b'{"a"', end=False)
    assert b"408" in got.split(b"\r\n")[0] and b"did not arrive" in got


def test_heads_without_end(at):
    assert b"400" in raw(at, b"POST / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000).split(b"\r\n")[0]


def test_garbage(at, capfd):
    assert b"400" in raw(at, b"\x16\x03\x01\x02\x00\x01" * 50 + b"\r\n\r\n").split(b"\r\n")[0]
    raw(at, b"\r\n\r\n\r\n")
    raw(at, b"GET / HTTP/9.9\r\n\r\n")
    assert capfd.readouterr() == ("", ""), "nothing of it reaches the terminal"


def test_more_connections_than_there_may_be(at):
    port = int(at.gateway.url.rpartition(":")[2])
    held = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(120)]
    try:
        assert all(connection.recv(1) == b"" for connection in held[60:]), "cut off at once or when its time is up"
    except ConnectionResetError:
        pass
    finally:
        for connection in held:
            connection.close()


def test_headers_cannot_be_smuggled(at):
    body = json.dumps({"model": "mleb-model", "max_tokens": 1, "messages": []}).encode()
    lines = [f"content-length: {len(body)}", "anthropic-beta: a\tb: c", "x-api-key: other", "connection: close"]
    got = raw(at, head(at, *lines, path="/v1/messages").encode() + body, end=False)
    assert b"200 OK" in got
    asked = at.model.asked[0].headers
    assert asked["host"].startswith("127.0.0.1:") and "anthropic-beta" not in asked
    twice = head(at, "content-length: 5", "content-length: 6").encode() + b"{}{}{}"
    assert b"400" in raw(at, twice).split(b"\r\n")[0]
    both = head(at, "content-length: 5", "transfer-encoding: chunked", "connection: close").encode() + b"0\r\n\r\n"
    assert b"400" in raw(at, both).split(b"\r\n")[0]


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/../v1/chat/completions/..", "//v1/chat/completions", "/v1/chat/completions/", "/v1/files",
     "/v1/%2e%2e/admin", "/v1/responses/resp_1", "http://169.254.169.254/latest", "/v1/messages/batches", "/\x7f"],
)  # fmt: skip
def test_paths(at, path):
    for method in ("POST", "GET", "DELETE"):
        got = raw(at, head(at, "content-length: 0", "connection: close", path=path, method=method).encode())
        assert int(got.split(b" ")[1]) in (400, 404, 405), got
    assert at.model.asked == []


@pytest.mark.parametrize(
    "asked",
    [
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "mcp", "server_url": "http://evil"}]},
        {"tools": [{"type": "code_interpreter"}]},
        {"web_search_options": {"a": 1}},
        {"plugins": [{"id": "web"}]},
        {"models": ["openai/o1"]},
        {"background": True},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://evil/?x"}}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://evil"}]}]},
    ],
    ids=str,
)
def test_a_model_is_no_way_around_the_closed_network(at, asked):
    for path in ("/v1/chat/completions", "/v1/responses"):
        reply = at.post(path, {"model": "mleb-model", **asked})
        assert (reply.status_code, reply.json()["error"]["type"]) == (400, "not_offered")
    assert at.model.asked == []


def test_anthropics_own_tools_too(at):
    body = {"model": "mleb-model", "max_tokens": 1, "messages": []}
    for more in ({"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, {"mcp_servers": [{"url": "x"}]}):
        assert at.post("/v1/messages", {**body, **more}).json()["error"]["type"] == "not_offered"
    own = [{"name": "mine", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    assert at.post("/v1/messages", {**body, "tools": own}).status_code == 200
    assert at.chat([image]).status_code == 200


def test_hosted_tools_can_be_allowed(serve):
    with serve(lambda _: Reply("x"), allow_hosted=True) as at:
        assert at.post("/v1/responses", {"model": "mleb-model", "tools": [{"type": "web_search"}]}).status_code == 200


def test_too_many_requests_at_once_are_told_to_wait(serve):
    with serve(lambda _: Reply("x", delay_s=0.3), limits=SMALL) as at:
        with ThreadPoolExecutor(16) as pool:
            replies = list(pool.map(lambda _: at.chat(), range(16)))
        refused = [reply for reply in replies if reply.status_code == 429]
        assert refused and {reply.headers["retry-after"] for reply in refused} == {"1"}
        assert at.model.most_at_once <= 4


def test_replies_without_measure_end(serve):
    with serve(lambda _: Reply("x" * 1_000_000, pieces=50), limits=SMALL) as at:
        assert at.chat().status_code == 502
        assert "larger than 300,000 bytes" in at.transcript()[0]["error"]
        assert "stream_cut" in at.chat(stream=True).text
        assert at.gateway.usage(at.token).failed == 2


def test_a_client_that_does_not_read_is_dropped_and_counted(serve):
    limits = GatewayLimits(send_s=0.3, retries=Retries(most=0))
    with serve(lambda _: Reply("x" * 8_000_000, pieces=100, input_tokens=3, output_tokens=9), limits=limits) as at:
        body = json.dumps({"model": "mleb-model", "messages": [], "stream": True}).encode()
        port = int(at.gateway.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(head(at, f"content-length: {len(body)}").encode() + body)
            at.until(lambda: at.gateway.usage(at.token).requests)
        assert at.gateway.usage(at.token).tokens.total == 12


def test_lone_surrogates_and_line_breaks_stay_on_one_line(serve):
    with serve(lambda _: Reply("\u2028 \ud800 \n")) as at:
        body = b'{"model": "mleb-model", "messages": [{"role": "user", "content": "\\ud800\\n\\u2028"}]}'
        assert at.post("/v1/chat/completions", body).status_code == 200
        assert len(at.transcript()) == 1


def test_a_transcript_that_is_a_link_is_not_followed(tmp_path, serve):
    with pytest.raises(AssertionError), serve(lambda _: Reply("x")) as at:
        victim = tmp_path / "victim"
        victim.write_text("mine")
        at.layout.transcript.unlink(missing_ok=True)
        at.layout.transcript.symlink_to(victim)
        assert at.chat().status_code == 200
        assert victim.read_text() == "mine"
        assert "transcript" in at.gateway.problems[0]
