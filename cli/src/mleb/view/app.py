"""The addresses of the viewer, and what guards them.

    /  /index.html  /live.json  /list.html
    /compare/index.html?a=GROUP|AGENT&b=GROUP|AGENT
    /groups/GROUP/...                                    index.html  live.json  figures.html  troubles.html
                                                         findings.html
    /groups/GROUP/COMPETITION/...                        index.html  board.html
    /groups/GROUP/COMPETITION/AGENT/SEED/...             index.html  live.json  head.html  files.html
                                                         text.json  transcript.json  ledger.json  raw

GET and HEAD only, nothing is ever changed. An answer says with an ETag what it is, so that pages may ask often.
"""

import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mleb.view.files import FileProblem, inner, open_file
from mleb.view.index import GroupIndex, Key
from mleb.view.ledgers import ledger_page
from mleb.view.pages import STATIC
from mleb.view.passages import MOST, find, passage
from mleb.view.site import Site
from mleb.view.text import as_json, visible
from mleb_core.errors import MlebError
from mleb_core.layout import RunLayout

__all__ = ["POLICY", "make_app"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""No script, style or picture but our own files; nothing from elsewhere, nothing that stands in a page."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names under which we are asked. Any other is a foreign page whose name was made to point here (DNS rebinding)."""
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_AT_ONCE = 100
_PIECE = 256 << 10


class Refusal(MlebError):
    """Something that is not shown."""

    def __init__(self, line: str, status: int = 404) -> None:
        """Args:
        line: says why.
        status: of HTTP.
        """
        super().__init__(line)
        self.status = status


def make_app(site: Site) -> "Guard":
    """The viewer as an ASGI application."""

    def page(make: Callable[[Request], str]) -> Callable[[Request], Response]:
        return lambda request: _answer(site, request, lambda: make(request), "text/html; charset=utf-8")

    def data(make: Callable[[Request], Any]) -> Callable[[Request], Response]:
        return lambda request: _answer(site, request, lambda: as_json(make(request)), "application/json")

    def part(name: str) -> Callable[[Request], str]:
        return lambda request: site.group(_group(site, request), name)

    def board(name: str) -> Callable[[Request], str]:
        return lambda request: site.competition(*_competition(site, request), name)

    def of_run(name: str) -> Callable[[Request], str]:
        return lambda request: site.run(*_run(site, request), name)

    group, competition = "/groups/{group}", "/groups/{group}/{competition}"
    run = competition + "/{folder}/{seed}"
    routes = [
        Route("/static/{name}", _static),
        Route("/live.json", data(lambda _: site.list_live())),
        Route("/list.html", page(lambda _: site.list("list.html"))),
        *_both("", page(lambda _: site.list())),
        *_both("/compare", page(lambda r: site.compare(r.query_params.get("a"), r.query_params.get("b")))),
        Route(group + "/live.json", data(lambda r: site.group_live(_group(site, r)))),
        Route(group + "/figures.html", page(part("figures.html"))),
        Route(group + "/troubles.html", page(part("troubles.html"))),
        Route(group + "/findings.html", page(part("findings.html"))),
        *_both(group, page(part("group.html"))),
        Route(competition + "/board.html", page(board("board.html"))),
        *_both(competition, page(board("competition.html"))),
        Route(run + "/live.json", data(lambda r: _run_live(*_run(site, r)))),
        Route(run + "/head.html", page(of_run("head.html"))),
        Route(run + "/files.html", page(of_run("files.html"))),
        Route(run + "/text.json", data(lambda r: _text(r, *_run(site, r)))),
        Route(run + "/transcript.json", data(lambda r: _transcript(site, r, *_run(site, r)))),
        Route(run + "/ledger.json", data(lambda r: _ledger(r, *_run(site, r)))),
        Route(run + "/raw", lambda request: _raw(site, request)),
        *_both(run, page(of_run("run.html"))),
        Route("/{rest:path}", page(_nothing)),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={Exception: _failed}))


class Guard:
    """Refuses what was not asked of us under our own name, and sets the headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Args:
        app: what is guarded.
        """
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in names]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or _name_of(hosts[0]) not in HOSTS:
            refusal = "this viewer answers under the names 127.0.0.1 and localhost only\n"
            await Response(refusal, 421, media_type="text/plain")(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)


def _name_of(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdigit() else host.lower()


def _both(path: str, endpoint: Callable[[Request], Response]) -> list[Route]:
    """A page under its directory's address and under its file's."""
    return [Route(path + "/index.html", endpoint), Route(path + "/", endpoint)]


def _answer(site: Site, request: Request, make: Callable[[], str], media_type: str) -> Response:
    """What was made, unless the page has it already; or the line that says why not."""
    try:
        content, status = make().encode("utf-8", "backslashreplace"), 200
    except MlebError as error:
        status = error.status if isinstance(error, Refusal) else 404
        if media_type == "application/json":
            missing = isinstance(error, FileProblem) and error.missing
            content = as_json({"problem": str(error), "missing": missing}).encode()
            status = 200 if isinstance(error, FileProblem) else status
        else:
            depth = max(0, request.url.path.count("/") - 1)
            content = site.problem(depth, "This cannot be shown", str(error)).encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    if status == 200 and request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"etag": etag})
    return Response(content, status, media_type=media_type, headers={"etag": etag})


def _static(request: Request) -> Response:
    path = STATIC.get(request.path_params["name"])
    if path is None:
        return Response("there is no such file\n", 404, media_type="text/plain")
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"etag": etag})
    return Response(content, media_type=_TYPES[path.suffix], headers={"etag": etag})


def _failed(request: Request, error: Exception) -> Response:
    """A fault of ours: told to whoever started the viewer, and to who asked."""
    line = visible(f"internal error at {request.url.path}: {type(error).__name__}: {error}".replace("\n", " "))
    sys.stderr.write(line + "\n")
    if os.environ.get("MLEB_DEBUG"):
        traceback.print_exception(error)
    return Response(f"{line}\n".encode("utf-8", "backslashreplace"), 500, media_type="text/plain")


def _nothing(request: Request) -> str:
    raise Refusal("there is no such page")


def _group(site: Site, request: Request) -> GroupIndex:
    name = request.path_params["group"]
    group = site.index.group(name)
    if group is None:
        raise Refusal(f"there is no run group {name} (any more)")
    group.refresh()
    if group.group is None:
        raise Refusal(f"{name}: {group.problem}")
    return group


def _competition(site: Site, request: Request) -> tuple[GroupIndex, str]:
    group, name = _group(site, request), request.path_params["competition"]
    if group.group is None or name not in group.group.competitions:
        raise Refusal(f"{group.name} did not ask for a competition {name}")
    return group, name


def _run(site: Site, request: Request) -> tuple[GroupIndex, Key, RunLayout]:
    group, words = _group(site, request), request.path_params
    found = group.find(words["competition"], words["folder"], words["seed"])
    if found is None:
        raise Refusal(f"{group.name} did not ask for a run {words['competition']} {words['folder']} {words['seed']}")
    return group, *found


def _run_live(group: GroupIndex, key: Key, place: RunLayout) -> dict[str, Any]:
    """What changes in a run: its state, and the sizes of its files."""
    cell = group.cell(key)
    watched = (place.log, place.transcript, place.ledger, place.resources, place.snapshot_list, place.usage)
    sizes = {path.name: _size(group, path) for path in (*watched, place.snapshot_scores, place.events)}
    state = {"mark": cell.mark, "status": cell.status, "score": cell.score, "note": cell.note} if cell else {}
    return {
        "state": "live" if group.at_work and not (cell and cell.ended) else "",
        "run": state,
        "sizes": sizes,
        "audited": group.audited,
    }


def _size(group: GroupIndex, path: Path) -> int:
    try:
        fd = open_file(group.directory, inner(group.directory, path))
    except FileProblem:
        return -1
    try:
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def shown_path(place: RunLayout, name: str) -> Path:
    """The file of a run that a page asks for by its path in the run's directory.

    Raises:
        Refusal: it is none that is shown.
    """
    parts = PurePosixPath(name).parts
    kept = (place.run, place.report, place.usage, place.resources, place.snapshot_scores)
    alone = (place.log, place.transcript, place.ledger, place.events, *kept)
    folders = (place.code, place.submission_dir, place.logs, place.snapshots)
    if "\0" in name or ".." in parts or name.startswith("/"):
        raise Refusal(f"{name!r} names no file of a run", 400)
    if len(parts) == 1 and parts[0] in {path.name for path in alone}:
        return place.root / parts[0]
    if len(parts) > 1 and parts[0] in {path.name for path in folders}:
        return place.root.joinpath(*parts)
    raise Refusal(f"{name!r} is no file of a run that is shown", 400)


def _text(request: Request, group: GroupIndex, key: Key, place: RunLayout) -> dict[str, Any]:
    query = request.query_params
    path = shown_path(place, query.get("file", place.log.name))
    if words := query.get("find"):
        return {"found": find(group.directory, path, words, _whole(query.get("start")) or 0)}
    found = passage(
        group.directory,
        path,
        start=_whole(query.get("start")),
        end=_whole(query.get("end")),
        length=_whole(query.get("length")) or MOST // 4,
        align="align" in query,
    )
    return {"start": found.start, "end": found.end, "size": found.size, "text": found.text}


def _transcript(site: Site, request: Request, group: GroupIndex, key: Key, place: RunLayout) -> dict[str, Any]:
    query = request.query_params
    first, last = _whole(query.get("first")), query.get("last") is not None
    count = min(_AT_ONCE, _whole(query.get("count")) or 20)
    return site.transcripts.exchanges(group.directory, place.transcript, -count if last else first or 0, count)


def _ledger(request: Request, group: GroupIndex, key: Key, place: RunLayout) -> dict[str, Any]:
    query = request.query_params
    return ledger_page(group.directory, place.ledger, _whole(query.get("first")) or 0, query.get("kind", ""))


def _raw(site: Site, request: Request) -> Response:
    """A file as a download: never as anything that a browser would show or run."""
    try:
        group, _, place = _run(site, request)
        path = shown_path(place, request.query_params.get("file", ""))
        fd = open_file(group.directory, inner(group.directory, path))
    except MlebError as error:
        return Response(f"{error}\n".encode("utf-8", "backslashreplace"), 404, media_type="text/plain")
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in path.name)
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "content-security-policy": "sandbox; default-src 'none'",
    }
    if request.method == "HEAD":
        os.close(fd)
        return Response(headers=headers, media_type="application/octet-stream")
    return StreamingResponse(_pieces(fd), media_type="application/octet-stream", headers=headers)


def _pieces(fd: int) -> Iterator[bytes]:
    """A file by pieces of one size: by lines, one without an end would fill the memory, and short ones take forever."""
    with os.fdopen(fd, "rb", buffering=0) as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _whole(text: str | None) -> int | None:
    """A number of a query; None for what is none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None
