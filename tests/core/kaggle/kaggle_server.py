"""A server that behaves as Kaggle's does, on loopback: an API that redirects downloads to a file server of its own.

What it does wrong is scripted: `server.script("toy", "file", Cut(1000), Status(503))` are its next answers there.
"""

import base64
import hashlib
import io
import json
import threading
import zipfile
from collections import defaultdict, deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "fake-token-4711"


@dataclass
class Status:
    """An error, with a JSON message as Kaggle sends it."""

    code: int
    message: str = "scripted"
    retry_after: str | None = "0"


@dataclass
class Cut:
    """The connection ends after so many bytes of the body."""

    after: int


@dataclass
class Content:
    """Other content in place of the file."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Entry:
    """A competition there."""

    archive: bytes
    leaderboard: bytes | None = None
    pages: list[list[str]] = field(default_factory=list)
    rules: bool = True
    etag: bool = True
    ranges: bool = True
    goog_md5: bool = False
    claimed: int | None = None


def packed(files: dict[str, bytes]) -> bytes:
    """A zip."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def board(scores: list[object], name: str = "toy-publicleaderboard-2026.csv") -> bytes:
    """A leaderboard as Kaggle packs it."""
    rows = [f'{i},{1000 + i},"Team, {i}",2020-01-01,{score},3,a;b' for i, score in enumerate(scores, 1)]
    head = "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames"
    return packed({name: ("\ufeff" + "\r\n".join([head, *rows, ""])).encode()})


class KaggleServer:
    """Two servers with their threads; `log` has what was asked."""

    def __init__(self) -> None:
        self.competitions: dict[str, Entry] = {}
        self.notebooks: dict[str, list[dict[str, Any]]] = {}
        """Of competitions: `ref`, `votes`, `blob` (None: it is gone), and what else is told of them."""
        self.pages: dict[str, list[dict[str, Any]]] = {}
        """Of competitions: `name` and `content`."""
        self.log: list[str] = []
        self.leaked: list[str] = []
        self._scripts: dict[tuple[str, str], deque[Any]] = defaultdict(deque)
        self._lock = threading.Lock()
        self._api = _Server(("127.0.0.1", 0), _Api, self)
        self._files = _Server(("127.0.0.1", 0), _Files, self)
        self.endpoint = f"http://127.0.0.1:{self._api.server_port}"
        self.files = f"http://127.0.0.1:{self._files.server_port}"

    def __enter__(self) -> Self:
        for server in (self._api, self._files):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        for server in (self._api, self._files):
            server.shutdown()
            server.server_close()

    def script(self, slug: str, where: str, *answers: Any) -> None:
        """The next answers at a place: the name of a call of the API, or "file"."""
        with self._lock:
            self._scripts[slug, where].extend(answers)

    def next(self, slug: str, where: str, said: str = "") -> Any:
        """The scripted answer; None where it behaves."""
        with self._lock:
            self.log.append(f"{where} {slug}{said}")
            script = self._scripts[slug, where]
            return script.popleft() if script else None

    def asked(self, where: str) -> list[str]:
        """What was asked there so far."""
        return [line for line in self.log if line.startswith(where)]


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: Any, kaggle: KaggleServer) -> None:
        super().__init__(address, handler)
        self.kaggle = kaggle

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, as after reading headers only, is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: object) -> None: ...

    def fail(self, status: Status) -> None:
        body = json.dumps({"code": status.code, "message": status.message}).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if status.retry_after is not None and (status.code == 429 or status.code >= 500):
            headers["Retry-After"] = status.retry_after
        self.answer(status.code, body, headers)

    def answer(self, code: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


class _Api(_Handler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.startswith("/v1/kernels.KernelsApiService/"):
            self.kernels(request)
            return
        kaggle, slug = self.server.kaggle, request["competitionName"]
        service, _, call = self.path.rpartition("/")
        assert service.endswith("/v1/competitions.CompetitionApiService")
        if scripted := kaggle.next(slug, call):
            self.fail(scripted)
            return
        basic = "Basic " + base64.b64encode(f"me:{TOKEN}".encode()).decode()
        entry = kaggle.competitions.get(slug)
        if self.headers["Authorization"] not in (f"Bearer {TOKEN}", basic):
            self.fail(Status(401, "Unauthenticated"))
        elif entry is None:
            self.fail(Status(404, "Competition not found"))
        elif call == "DownloadDataFiles":
            if entry.rules:
                self.answer(302, b"", {"Location": f"{kaggle.files}/{slug}.zip?signature=1"})
            else:
                self.fail(
                    Status(403, "You must accept this competition's rules before you'll be able to download files.")
                )
        elif call == "DownloadLeaderboard" and entry.leaderboard is not None:
            self.answer(200, entry.leaderboard, {"Content-Type": "application/zip"})
        elif call == "ListCompetitionPages":
            body = json.dumps({"pages": kaggle.pages.get(slug, [])}).encode()
            self.answer(200, body, {"Content-Type": "application/json"})
        elif call == "GetLeaderboard" and entry.pages:
            page = int(request.get("pageToken") or 0)
            scores = [{"teamId": i, "teamName": "x", "score": score} for i, score in enumerate(entry.pages[page])]
            more = {"nextPageToken": str(page + 1)} if page + 1 < len(entry.pages) else {}
            body = json.dumps({"submissions": scores, **more}).encode()
            self.answer(200, body, {"Content-Type": "application/json"})
        else:
            self.fail(Status(404, "There is no leaderboard"))

    def kernels(self, request: dict[str, Any]) -> None:
        kaggle, call = self.server.kaggle, self.path.rpartition("/")[2]
        about = request["competition"] if call == "ListKernels" else f"{request['userName']}/{request['kernelSlug']}"
        if scripted := kaggle.next(about, call):
            self.fail(scripted)
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.fail(Status(401, "Unauthenticated"))
        elif call == "ListKernels":
            assert request["sortBy"] == "VOTE_COUNT"
            listed = sorted(kaggle.notebooks.get(about, []), key=lambda one: -one["totalVotes"])
            first = (request["page"] - 1) * request["pageSize"]
            shown = [
                {name: value for name, value in one.items() if name != "blob"}
                for one in listed[first : first + request["pageSize"]]
            ]
            self.answer(200, json.dumps({"kernels": shown}).encode(), {"Content-Type": "application/json"})
        else:
            found = {one["ref"]: one for listed in kaggle.notebooks.values() for one in listed}.get(about)
            if found is None or found["blob"] is None:
                self.fail(Status(404, "Kernel not found"))
            else:
                body = json.dumps({"metadata": {"ref": about}, "blob": found["blob"]}).encode()
                self.answer(200, body, {"Content-Type": "application/json"})


class _Files(_Handler):
    def do_GET(self) -> None:
        kaggle, slug = self.server.kaggle, self.path.partition("?")[0].strip("/").removesuffix(".zip")
        if self.headers["Authorization"]:
            kaggle.leaked.append(self.headers["Authorization"])
        wanted = self.headers["Range"]
        scripted = kaggle.next(slug, "file", f" {wanted}" if wanted else "")
        entry = kaggle.competitions[slug]
        body, cut = entry.archive, None
        if isinstance(scripted, Status):
            self.fail(scripted)
            return
        if isinstance(scripted, Content):
            self.answer(200, scripted.body, scripted.headers)
            return
        if isinstance(scripted, Cut):
            cut = scripted.after
        md5 = hashlib.md5(body)
        headers = {"Content-Type": "application/zip", "Accept-Ranges": "bytes"}
        if entry.etag:
            headers["ETag"] = f'"{md5.hexdigest()}"'
        if entry.goog_md5:
            headers["x-goog-hash"] = f"crc32c=AAAAAA==, md5={base64.b64encode(md5.digest()).decode()}"
        if entry.claimed is not None:
            headers["Content-Length"] = str(entry.claimed)
        condition = self.headers["If-Range"]
        if wanted and entry.ranges and condition in (None, headers.get("ETag")):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.answer(206, body[start:], headers, cut)
        else:
            self.answer(200, body, headers, cut)
