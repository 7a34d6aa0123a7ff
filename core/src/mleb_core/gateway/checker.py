"""`POST /validate`: agents hand in a file and hear whether its format is right. Never a score.

The request is a form (`multipart/form-data`) with the file in its field `file`; the answer to every request is JSON,
{"result": "..."}, with status 200 where the file was checked, valid or not. Whoever asks may send anything, at any
speed: one file of a run at a time, so many a minute, none above a size; what was sent is removed once it is checked.
"""

import asyncio
import contextlib
import hashlib
import json
import math
import os
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Message, Receive, Scope, Send

from mleb_core.gateway.asked import Refused, bearer, drain, header
from mleb_core.gateway.forward import clock
from mleb_core.gateway.limits import GatewayLimits
from mleb_core.gateway.open_run import OpenRun
from mleb_core.gateway.shared import Shared, send_whole
from mleb_core.run import RunKey, now

__all__ = ["OF_RUN", "CheckDesk", "Checks", "Verdict"]

OF_RUN = "mleb.run"
"""Key of a request's scope: the run on whose own socket it came."""
FORM_BYTES = 64 * 1024
"""What a form may hold beside the file."""
PARTS = 16
"""Parts of a form."""
PIECE = 1024**2
"""Bytes that are read before they are written."""


class Verdict(Protocol):
    """What is said of a file."""

    @property
    def valid(self) -> bool:
        """Whether its format is right."""

    @property
    def text(self) -> str:
        """One line for the agent."""

    @property
    def problem(self) -> str | None:
        """One line for the harness: why there is no verdict."""


class Checks(Protocol):
    """Who checks the files of a run: a `mleb_core.grading.checker.Checker`."""

    def check(self, submission: Path, /) -> Verdict:
        """Check a file; called in a thread of its own, may take its time."""
        ...


class CheckDesk:
    """`POST /validate`, as an ASGI application; for one event loop."""

    def __init__(self, shared: Shared, on_check: Callable[[RunKey, dict[str, Any]], None] | None) -> None:
        """Args:
        shared: what it shares with the exchanges.
        on_check: told of each check, in the event loop.
        """
        self.shared, self.on_check = shared, on_check
        self.bytes = 0
        """Size of the files under way."""
        self._writers = ThreadPoolExecutor(2, thread_name_prefix="mleb-upload")
        self._checkers = ThreadPoolExecutor(shared.limits.checks, thread_name_prefix="mleb-check")

    def close(self) -> None:
        """No more checks; those under way are not waited for."""
        for executor in (self._writers, self._checkers):
            executor.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        run: OpenRun | None = None
        begun = False

        async def say(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            run = self._run_of(scope)
            try:
                await self._turn(run, scope, receive, say)
            except asyncio.CancelledError:
                if begun or not run.closed:
                    raise
                raise Refused(401, "authentication_error", "the run has ended", close=True) from None
        except Refused as refused:
            await _refuse(send, refused)
        except ConnectionError:
            return  # the client went away before it had sent all
        except OSError as error:
            self.shared.problem(run, "checker", error)
            if not begun:
                await _refuse(send, Refused(503, "checker_failed", _FAILED, close=True))

    def _run_of(self, scope: Scope) -> OpenRun:
        token, own = bearer(scope), scope.get(OF_RUN)
        run = self.shared.runs.get(token) if own is None else own
        if run is None or run.closed or (own is not None and token and token != own.token):
            raise Refused(401, "authentication_error", "no run has this token", close=True)
        if run.checker is None:
            raise Refused(404, "not_offered", "this run has no submission checker", close=True)
        return run

    async def _turn(self, run: OpenRun, scope: Scope, receive: Receive, send: Send) -> None:
        """One check, if it is the run's turn."""
        limits, started = self.shared.limits, clock()
        wait = 1 if run.checking else _wait(run, started, limits.checks_a_minute)
        if wait:
            run.checks_refused += 1
            what = (
                "a check of this run is under way"
                if run.checking
                else f"{limits.checks_a_minute} checks a minute are possible"
            )
            raise Refused(429, "too_many_requests", f"{what}; ask again in {wait} s", close=True, wait_s=wait)
        run.check_times.append(started)
        run.checking = True
        task = asyncio.current_task()
        assert task is not None
        run.tasks.add(task)
        facts: dict[str, Any] = {"time": now(), "status": 200, "valid": None, "sha256": None, "bytes": None}
        try:
            facts |= await self._checked(run, scope, receive)
        except Refused as refused:
            facts |= {"status": refused.status, "result": str(refused)}
            raise
        except OSError as error:
            if not isinstance(error, ConnectionError):
                facts |= {"status": 503, "result": _FAILED}
            raise
        finally:
            run.tasks.discard(task)
            run.checking = False
            if "result" in facts:
                facts |= {"seconds": round(clock() - started, 4), "refused_before": run.checks_refused}
                run.checks_refused = 0
                self._tell(run, facts)
        await _answer(send, facts["status"], {"result": facts["result"]})

    async def _checked(self, run: OpenRun, scope: Scope, receive: Receive) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        upload = await self._uploaded(run, scope, receive)
        facts: dict[str, Any] = {"sha256": upload.digest.hexdigest(), "bytes": upload.size}
        try:
            assert run.checker is not None
            verdict = await loop.run_in_executor(self._checkers, run.checker.check, upload.path)
        except Exception as error:
            self.shared.problem(run, "checker", error)
            return {**facts, "status": 500, "result": _FAILED}
        finally:
            self.bytes -= upload.size
            upload.close()
        if verdict.problem is not None:
            self.shared.problem(run, "checker", RuntimeError(verdict.problem))
            return {**facts, "status": 500, "result": verdict.text}
        return {**facts, "result": verdict.text, "valid": verdict.valid}

    async def _uploaded(self, run: OpenRun, scope: Scope, receive: Receive) -> "_Upload":
        """The file of a request, in a temporary file that the caller closes, as it gives back its size."""
        limits = self.shared.limits
        kind, options = parse_options_header(header(scope, b"content-type"))
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 200:
            await _let_send(receive)
            raise _bad("a form (multipart/form-data) with the submission in its field 'file' is expected")
        told = header(scope, b"content-length")
        if told.isdecimal() and (len(told) > 18 or int(told) > limits.check_bytes + FORM_BYTES):
            await _let_send(receive)
            raise _too_large(limits)
        upload = _Upload(run.layout.root, boundary, limits.check_bytes)
        try:
            await self._fill(upload, receive)
        except BaseException:
            self.bytes -= upload.size
            upload.close()
            raise
        return upload

    async def _fill(self, upload: "_Upload", receive: Receive) -> None:
        loop, limits = asyncio.get_running_loop(), self.shared.limits
        piece, more = bytearray(), True
        try:
            async with asyncio.timeout(limits.check_upload_s):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionError("the client went away")
                    piece += message.get("body", b"")
                    more = bool(message.get("more_body"))
                    if len(piece) < PIECE and more:
                        continue
                    before = upload.size
                    try:
                        await loop.run_in_executor(self._writers, upload.feed, bytes(piece))
                    finally:
                        self.bytes += upload.size - before
                    piece.clear()
                    if self.bytes > limits.checks_bytes:
                        text = "too many files are being checked; ask again in 10 s"
                        raise Refused(429, "too_many_requests", text, close=True, wait_s=10)
            await loop.run_in_executor(self._writers, upload.finish)
        except TimeoutError:
            text = f"the file did not arrive within {limits.check_upload_s:g} s"
            raise Refused(408, "request_timeout", text, close=True) from None
        except _TooLargeError:
            await _let_send(receive, more)
            raise _too_large(limits) from None
        except (_BadFormError, FormParserError) as error:
            await _let_send(receive, more)
            raise _bad(" ".join(str(error).split())[:200]) from None

    def _tell(self, run: OpenRun, facts: dict[str, Any]) -> None:
        if self.on_check is not None:
            try:
                self.on_check(run.key, facts)
            except Exception as error:
                self.shared.problem(run, "listener", error)


class _TooLargeError(Exception):
    """The file is larger than allowed."""


class _BadFormError(Exception):
    """The form is not as expected; the message says how."""


class _Upload:
    """The file in a form, written as it comes. `feed` runs in other threads than `close`, never beside itself."""

    def __init__(self, folder: Path, boundary: bytes, most: int) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._most, self._beside, self._parts, self._files = most, 0, 0, 0
        self._field, self._value, self._disposition = b"", b"", b""
        self._wanted = self._ended = False
        self._lock = threading.Lock()
        # A name that `layout.remove_unfinished` takes for what it is, should the harness be killed.
        self._handle, name = tempfile.mkstemp(dir=folder, prefix=".check-", suffix=".tmp")
        self.path = Path(name)
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> None:
        """Take a piece of the form."""
        with self._lock:
            if self._handle >= 0 and data:
                self._parser.write(data)

    def finish(self) -> None:
        """Check that the form has ended and had a file."""
        if not self._ended:
            raise _BadFormError("the form ends in the middle")
        if not self._files:
            raise _BadFormError("the form has no field 'file'")

    def close(self) -> None:
        """Remove the file."""
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1
        self.path.unlink(missing_ok=True)

    def _count(self, start: int, end: int) -> None:
        self._beside += end - start
        if self._beside > FORM_BYTES:
            raise _BadFormError("the form holds too much beside the file")

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > PARTS:
            raise _BadFormError(f"the form has more than {PARTS} parts")
        self._field, self._value, self._disposition, self._wanted = b"", b"", b"", False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count(start, end)
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(start, end)
        self._value += data[start:end]

    def _header_ends(self) -> None:
        self._count(0, 64)  # many small headers
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def _headers_end(self) -> None:
        kind, options = parse_options_header(self._disposition)
        self._wanted = kind == b"form-data" and options.get(b"name") == b"file"
        if self._wanted:
            self._files += 1
            if self._files > 1:
                raise _BadFormError("the form has more than one field 'file'")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._wanted:
            self._count(start, end)
            return
        if self.size + end - start > self._most:
            raise _TooLargeError
        view = memoryview(data)[start:end]
        self.digest.update(view)
        self.size += len(view)
        while view:
            view = view[os.write(self._handle, view) :]

    def _end(self) -> None:
        self._ended = True


_FAILED = "The checker failed, which says nothing of the submission; whoever runs it was told."


def _wait(run: OpenRun, at: float, most: int) -> int:
    """Seconds until the run may ask again; 0: now."""
    while run.check_times and run.check_times[0] <= at - 60:
        run.check_times.popleft()
    return 0 if len(run.check_times) < most else max(1, math.ceil(run.check_times[0] + 60 - at))


def _bad(what: str) -> Refused:
    return Refused(400, "invalid_request_error", what, close=True)


def _too_large(limits: GatewayLimits) -> Refused:
    return Refused(413, "request_too_large", f"the file is larger than {limits.check_bytes:,} bytes", close=True)


async def _let_send(receive: Receive, more: bool = True) -> None:
    """Let a client send on for a moment, if it has more: it would not see the reply."""
    if more:
        with contextlib.suppress(ConnectionError):
            await drain(receive)


async def _answer(send: Send, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    data = json.dumps(body).encode()
    await send_whole(send, status, {"content-type": "application/json", **(headers or {})}, data)


async def _refuse(send: Send, refused: Refused) -> None:
    headers = {"connection": "close"} if refused.close else {}
    body: dict[str, Any] = {"result": str(refused), "error": refused.kind}
    if refused.wait_s is not None:
        headers["retry-after"] = str(refused.wait_s)
        body["retry_after_s"] = refused.wait_s
    await _answer(send, refused.status, body, headers)
