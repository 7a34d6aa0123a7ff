"""A file over HTTP, resumed where it was cut.

While it comes it is `NAME.part`, with `NAME.part.json` beside it: which content of the server that is a part of. It
gets its name once it is whole. A part of another content is thrown away, never continued.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mleb_core.kaggle.client import understood
from mleb_core.kaggle.patience import Again, Patience, Tries, retry_after
from mleb_core.layout import write_json

if TYPE_CHECKING:
    from requests import Response

__all__ = ["Source", "Transfer", "drop", "part_of", "transfer"]

Transfer = Callable[[int, int | None], None]
"""Gets the bytes that are there, and those that there will be, if known."""
PIECE = 1 << 20


@dataclass(frozen=True)
class Source:
    """What a server says about the file that it sends."""

    bytes: int | None
    """Size."""
    etag: str | None
    """Changes with the content."""
    modified: str | None
    """Last-Modified, as sent."""
    md5: str | None = None
    """md5 of the content, hexadecimal, where the server says it."""

    @classmethod
    def of(cls, response: "Response") -> "Source":
        """From the headers of a whole answer."""
        headers = response.headers
        length = headers.get("Content-Length", "")
        return cls(
            int(length) if length.isdigit() else None,
            headers.get("ETag"),
            headers.get("Last-Modified"),
            _md5(headers.get("x-goog-hash", "")),
        )

    def continues(self, other: "Source | None") -> bool:
        """Whether a part of `other` is a part of this, as far as can be told; a checksum has the last word."""
        if other is None or self.bytes != other.bytes:
            return False
        for mine, its in ((self.etag, other.etag), (self.modified, other.modified), (self.md5, other.md5)):
            if mine is not None and its is not None:
                return mine == its
        return self.bytes is not None


def part_of(target: Path) -> Path:
    """The name of a file while it comes."""
    return target.with_name(target.name + ".part")


def transfer(
    start: "Callable[[], Response]",
    target: Path,
    *,
    about: str,
    patience: Patience,
    on_bytes: Transfer,
) -> tuple[Source, bool]:
    """Get a file into its part, all of it; the caller checks it and gives it its name.

    Args:
        start: asks for the whole file anew, and gives the answer with its body unread; raises `Again`.
        target: the file's name; its folder is there.
        about: what is wanted, to begin messages with.
        patience: how often a cut is borne.
        on_bytes: told of progress.

    Returns:
        What the server said of the file, and whether some of it was there before.

    Raises:
        KaggleError: patience is at its end, or as `start`; the part stays.
        OSError: the part cannot be written; it stays.
    """
    part = part_of(target)
    tries, best, resumed = Tries(patience, about), _size(part), _size(part) > 0

    def came(position: int, total: int | None) -> None:
        nonlocal best
        if position > best:  # a server that ever starts anew and breaks at the same place makes no progress
            best = position
            tries.succeeded()
        on_bytes(position, total)

    while True:
        try:
            with closing(start()) as response:
                source = Source.of(response)
                offset = _usable(part, source)
                resumed = resumed and offset > 0
                if offset == 0:
                    _receive(response, part, 0, source.bytes, came)
                elif offset != source.bytes:
                    response.close()
                    with closing(_rest(response, source, offset, patience)) as rest:
                        _receive(rest, part, offset if rest.status_code == 206 else 0, source.bytes, came)
        except Again as again:
            tries.failed(again)
        else:
            return source, resumed


def _usable(part: Path, source: Source) -> int:
    """How much of a part can stay; removes one that cannot."""
    marks = _marks(part)
    size = _size(part)
    known = _read_marks(marks)
    if size and source.continues(known) and size <= (source.bytes or 0):
        return size
    part.unlink(missing_ok=True)
    write_json(marks, asdict(source), durable=False)
    return 0


def _receive(response: "Response", part: Path, offset: int, total: int | None, came: Transfer) -> None:
    """Write an answer's body into a part, from `offset` on."""
    with part.open("r+b" if offset else "wb") as stream:
        stream.seek(offset)
        stream.truncate()
        _copy(response, stream, offset, total, came)
        stream.flush()
        os.fsync(stream.fileno())


def _rest(response: "Response", source: Source, offset: int, patience: Patience) -> "Response":
    """The answer to a request for all bytes from `offset` on, 206 or 200."""
    import requests

    headers = {"Range": f"bytes={offset}-", "Accept-Encoding": "identity"}
    strong = source.etag if source.etag and not source.etag.startswith("W/") else None
    if condition := strong or source.modified:
        headers["If-Range"] = condition
    for name in ("Authorization", "User-Agent"):  # requests has left out what is not for this server
        if value := response.request.headers.get(name):
            headers[name] = value if isinstance(value, str) else value.decode()
    host = urlsplit(response.url).netloc
    with understood(host, "the request"):
        # The authentication does nothing: without it, requests would put in what ~/.netrc has.
        rest = requests.get(response.url, headers=headers, stream=True, timeout=patience.timeout_s, auth=_as_it_is)
    begins = re.match(r"bytes (\d+)-", rest.headers.get("Content-Range", ""))
    if rest.status_code == 200 or (rest.status_code == 206 and begins and int(begins[1]) == offset):
        return rest
    rest.close()
    wait = retry_after(rest.headers.get("Retry-After"))
    raise Again(f"the file server {host} answers {rest.status_code} to a request for the rest", "busy", wait)


def _as_it_is(request: Any) -> Any:
    return request


def _copy(response: "Response", stream: IO[bytes], position: int, total: int | None, came: Transfer) -> None:
    came(position, total)
    while True:
        with understood(urlsplit(response.url).netloc, "the request"):
            piece = response.raw.read(PIECE)
        if not piece:
            break
        stream.write(piece)
        position += len(piece)
        came(position, total)
    if total is not None and position < total:
        raise Again(f"the connection was cut at byte {position} of {total}", "unreachable")
    if total is not None and position > total:
        stream.truncate(0)
        raise Again(f"the server sent {position} bytes where it had said {total}", "answer")


def drop(part: Path) -> None:
    """Remove a part, if it is there, and what is known of it."""
    part.unlink(missing_ok=True)
    _marks(part).unlink(missing_ok=True)


def _marks(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_marks(path: Path) -> Source | None:
    try:
        return Source(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _md5(header: str) -> str | None:
    match = re.search(r"md5=([A-Za-z0-9+/]+=*)", header)
    try:
        return base64.b64decode(match[1], validate=True).hex() if match else None
    except (binascii.Error, ValueError):
        return None
