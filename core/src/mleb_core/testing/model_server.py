"""A scripted model provider on 127.0.0.1: real HTTP, no model. Tests of agents and of the gateway talk to it.

    script = [Reply("hello"), Failure(429, retry_after=1), Reply(tools=[ToolCall("submit", {"ok": True})])]
    with ModelServer(script) as server:
        os.environ["OPENAI_BASE_URL"] = f"{server.url}/v1"

It answers POST /v1/chat/completions, /v1/completions, /v1/responses, /v1/messages (plain and streamed) with the next
entry of the script, POST /v1/embeddings with vectors that depend on the text alone, and GET /v1/models. A script may
also be a function of the request. `python -m mleb_core.testing.model_server` serves one reply for ever in a process of
its own.
Standard library only.
"""

import argparse
import contextlib
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from mleb_core.testing.model_shapes import SHAPES, embeddings, tokens_in

__all__ = ["Asked", "Failure", "ModelServer", "Reply", "Script", "ToolCall"]


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool."""

    name: str
    """The tool."""
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    """Its arguments; a str goes out as it is, so that a call can be malformed."""
    id: str | None = None
    """Its id; None: made up, the same every time."""


@dataclass(frozen=True)
class Reply:
    """What the model says."""

    text: str = ""
    """The prose."""
    tools: Sequence[ToolCall] = ()
    """Tool calls after it."""
    input_tokens: int | None = None
    """As told in the usage; None: a quarter of the request's bytes."""
    output_tokens: int | None = None
    """As told in the usage; None: a quarter of the reply's characters, at least 1."""
    cached_tokens: int = 0
    """How many of the input tokens came from a cache."""
    usage: bool = True
    """Whether the usage is told at all."""
    pieces: int = 4
    """Into how many pieces the text is cut when it is streamed."""
    delay_s: float = 0.0
    """Seconds before the first byte."""
    pause_s: float = 0.0
    """Seconds between the events of a stream."""
    logprobs: Sequence[tuple[str, float | None]] | None = None
    """Tokens with their natural log-probabilities, told by plain chat and text completions to who asks for them; of
    text completions they are those of the prompt as well, where it is echoed. None: they are not told."""
    cut_after: int | None = None
    """Drop the connection after so many events of a stream, or in the middle of a plain reply."""


@dataclass(frozen=True)
class Failure:
    """An error reply."""

    status: int
    """HTTP status."""
    message: str = "scripted failure"
    """What stands in it."""
    retry_after: float | str | None = None
    """The Retry-After header: seconds, or a date."""
    type: str = "server_error"
    """Type (and code) of the error."""
    body: bytes | None = None
    """The whole body instead, such as one that is no JSON."""
    delay_s: float = 0.0
    """Seconds before the first byte."""
    drop: bool = False
    """Drop the connection without any reply."""


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    number: int
    """0 for the first that took an entry of the script."""
    path: str
    """With the query string."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Any
    """The JSON of the request; None for GET."""


Script = Iterable[Reply | Failure | str] | Callable[[Asked], Reply | Failure | str]


class ModelServer:
    """Serves a script while its context is open.

    Args:
        script: replies in their order, or a function of the request. When a list is used up, requests get status 500.
        key: the key that requests must carry; None: any.
        port: 0 takes a free one.
        keep: how many requests are kept in `asked`.
    """

    def __init__(self, script: Script = (), *, key: str | None = None, port: int = 0, keep: int = 100_000) -> None:
        """Take a port; nothing is served yet."""
        self.asked: list[Asked] = []
        self.at_once = 0
        self.most_at_once = 0
        self._script = script if callable(script) else iter(script)
        self._key, self._keep, self._count = key, keep, 0
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", port), _Handler)
        self._http.model = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="model-server")

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT, without /v1."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop; connections that are still open are dropped."""
        self._http.shutdown()
        self._thread.join()
        self._http.drop_all()
        self._http.server_close()

    def next(self, path: str, headers: Mapping[str, str], body: Any) -> Reply | Failure:
        """The answer to a request."""
        if self._key is not None and self._key not in (
            headers.get("authorization", "").removeprefix("Bearer "),
            headers.get("x-api-key"),
        ):
            return Failure(401, f"Incorrect API key provided: {headers.get('authorization')}", type="invalid_api_key")
        with self._lock:
            asked = Asked(self._count, path, headers, body)
            self._count += 1
            if len(self.asked) < self._keep:
                self.asked.append(asked)
            if not callable(self._script):
                entry = next(self._script, Failure(500, "the script is at its end"))
        if callable(self._script):
            entry = self._script(asked)
        return Reply(entry) if isinstance(entry, str) else entry

    @contextlib.contextmanager
    def working(self) -> Any:
        """Count a request that is being answered."""
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            yield
        finally:
            with self._lock:
                self.at_once -= 1


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = False
    block_on_close = True
    model: ModelServer

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def drop_all(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/v1/models":
            return self._json(404, {"error": {"message": f"no {self.path}", "type": "not_found"}})
        return self._json(200, {"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "mleb"}]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = self.path.partition("?")[0]
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            asked = json.loads(body)
        except ValueError:
            return self._json(400, {"error": {"message": "no JSON", "type": "invalid_request_error"}})
        if path == "/v1/embeddings":
            return self._json(200, embeddings(asked))
        shape = SHAPES.get(path)
        if shape is None:
            return self._json(404, {"error": {"message": f"no {path}", "type": "not_found"}})
        with self.server.model.working():
            entry = self.server.model.next(self.path, headers, asked)
            time.sleep(entry.delay_s)
            if isinstance(entry, Failure):
                return self._failure(entry)
            counts = (
                len(body) // 4 if entry.input_tokens is None else entry.input_tokens,
                tokens_in(entry) if entry.output_tokens is None else entry.output_tokens,
            )
            if asked.get("stream"):
                return self._stream(shape.events(asked, entry, *counts), entry)
            data = json.dumps(shape.whole(asked, entry, *counts)).encode()
            if entry.cut_after is None:
                return self._bytes(200, data)
            self._head(200, "application/json", len(data))
            self.wfile.write(data[: len(data) // 2])
            return self._drop()

    def _failure(self, entry: Failure) -> None:
        if entry.drop:
            return self._drop()
        error = {"message": entry.message, "type": entry.type, "code": entry.type, "param": None}
        body = json.dumps({"type": "error", "error": error}).encode() if entry.body is None else entry.body
        extra = {} if entry.retry_after is None else {"retry-after": str(entry.retry_after)}
        return self._bytes(entry.status, body, extra)

    def _stream(self, events: Iterable[bytes], entry: Reply) -> None:
        self._head(200, "text/event-stream", None)
        for number, event in enumerate(events):
            if number == entry.cut_after:
                return self._drop()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(entry.pause_s)
        self.wfile.write(b"0\r\n\r\n")
        return self.wfile.flush()

    def _json(self, status: int, value: Any) -> None:
        self._bytes(status, json.dumps(value).encode())

    def _bytes(self, status: int, body: bytes, extra: Mapping[str, str] | None = None) -> None:
        self._head(status, "application/json", len(body), extra)
        self.wfile.write(body)
        self.wfile.flush()

    def _head(self, status: int, kind: str, length: int | None, extra: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("x-request-id", "req_scripted")
        self.send_header("set-cookie", "provider=secret")
        if length is None:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(length))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _drop(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):  # a half-sent chunk, then nothing: the client sees a broken stream
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def main() -> None:
    """Serve one reply for ever, in a process of its own; the first line on stdout is the URL."""
    parser = argparse.ArgumentParser(prog="python -m mleb_core.testing.model_server", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--text", default="scripted reply")
    parser.add_argument("--pieces", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.0, metavar="SECONDS", help="between events of a stream")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="before a reply")
    options = parser.parse_args()
    reply = Reply(options.text, pieces=options.pieces, pause_s=options.pause, delay_s=options.delay)
    with ModelServer(lambda _: reply, port=options.port, keep=0) as server, contextlib.suppress(KeyboardInterrupt):
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
