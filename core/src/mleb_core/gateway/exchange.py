"""The gateway's endpoints: a request becomes a call, or is refused."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from mleb_core.gateway.asked import Refused, bearer, check, read_body
from mleb_core.gateway.call import Call
from mleb_core.gateway.open_run import OpenRun
from mleb_core.gateway.providers import Endpoint
from mleb_core.gateway.shared import Shared, refuse

__all__ = ["Exchange"]


class Exchange:
    """An endpoint, as an ASGI application."""

    def __init__(self, endpoint: Endpoint, shared: Shared) -> None:
        """Args:
        endpoint: which one.
        shared: what it shares with the others.
        """
        self.endpoint, self.shared = endpoint, shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        run = self.shared.runs.get(bearer(scope))
        begun = False

        async def say(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            if run is None or run.closed:
                raise Refused(401, "authentication_error", "no run has this token", close=True)
            if len(run.tasks) >= self.shared.limits.run_requests:
                text = f"{self.shared.limits.run_requests} requests of this run are under way; ask again later"
                raise Refused(429, "too_many_requests", text, close=True, wait_s=1)
            task = asyncio.current_task()
            assert task is not None
            run.tasks.add(task)
            try:
                await self._serve(run, scope, receive, say)
            except asyncio.CancelledError:
                if begun or not run.closed:
                    raise  # the connection ends with it
                raise Refused(401, "authentication_error", "the run has ended", close=True) from None
            finally:
                run.tasks.discard(task)
        except Refused as refused:
            if run is not None:
                run.refused += 1
            await refuse(send, self.endpoint, refused)
        except ConnectionError:
            return  # the client went away before it had asked anything

    async def _serve(self, run: OpenRun, scope: Scope, receive: Receive, send: Send) -> None:
        shared = self.shared
        data = await read_body(scope, receive, run, shared.limits)
        size = len(data)
        run.body_bytes += size
        try:
            asked = check(self.endpoint, data, run, shared.limits, allow_hosted=shared.allow_hosted)
            del data
            await Call(shared, run, asked).serve(scope, receive, send)
        finally:
            run.body_bytes -= size
