"""The gateway as a harness uses it: started and stopped, runs registered and closed, from any thread."""

import asyncio
import secrets
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from mleb_core.errors import RunGroupError, RunnerError, UsageError
from mleb_core.gateway.budgets import Meter, Till
from mleb_core.gateway.checker import CheckDesk, Checks
from mleb_core.gateway.forward import new_client
from mleb_core.gateway.limits import GatewayLimits
from mleb_core.gateway.open_run import OpenRun, meter, take_up, targets
from mleb_core.gateway.prices import cost_usd
from mleb_core.gateway.providers import Provider, providers_from
from mleb_core.gateway.recording import Recorder, Replay
from mleb_core.gateway.records import Budget, Price, Tokens, Usage
from mleb_core.gateway.routes import OfRun, application
from mleb_core.gateway.serving import Door, tcp_socket, unix_socket
from mleb_core.gateway.shared import Shared
from mleb_core.gateway.transcript import Secrets, Transcript, usage_in
from mleb_core.layout import RunLayout, write_whole
from mleb_core.run import RunKey

__all__ = ["Gateway"]

Value = TypeVar("Value")


class Gateway:
    """The model gateway of a run group; it serves while its context is open.

        with Gateway(models="openai/gpt-4o", group_budget=Budget(cost_usd=100)) as gateway:
            token = gateway.register_run(key, layout, Budget(cost_usd=10))
            env = gateway.environment(token)     # OPENAI_BASE_URL, OPENAI_API_KEY, ...
            ...                                  # the agent works
            usage = gateway.close_run(token)

    All methods may be called from any thread.
    """

    def __init__(
        self,
        models: str | Mapping[str, str] | None = None,
        *,
        providers: Mapping[str, Provider] | None = None,
        group_budget: Budget | None = None,
        group_used: Usage | None = None,
        group_meter: Meter | None = None,
        host: str | None = "127.0.0.1",
        port: int = 0,
        unix: Path | None = None,
        record: Path | None = None,
        replay: Path | None = None,
        prices: Mapping[str, Price] | None = None,
        allow_hosted: bool = False,
        limits: GatewayLimits | None = None,
        on_exchange: Callable[[RunKey, bytes], None] | None = None,
        on_budget: Callable[[RunKey, str], None] | None = None,
        on_check: Callable[[RunKey, dict[str, Any]], None] | None = None,
    ) -> None:
        """Args:
        models: the models of runs that bring none: `provider/name` (found as `mleb-model`), or such names by alias.
            None: such runs have no model, and only the submission checker if they bring one.
        providers: by id; None: those that are known, with keys from the environment.
        group_budget: what all runs together may use.
        group_used: what they used before the harness was started anew, runs that go on included.
        group_meter: instead of both, a meter of what gateways of several processes share (`shared_budget`).
        host: loopback address to listen on; None: no TCP.
        port: 0: any that is free.
        unix: where to listen with a unix socket, which any user may connect to; None: nowhere. Without host and unix,
            it listens at the sockets that runs bring.
        record: where exchanges are recorded; None: nowhere.
        replay: where the recordings are that runs get instead of providers' replies; None: providers are asked.
        prices: of models that genai-prices does not know, by `provider/name`.
        allow_hosted: let agents use what a provider runs beside the model (web search, code, files, URLs it fetches).
        limits: what is borne.
        on_exchange: called, in the gateway's thread, with each line of a transcript; must not take long.
        on_budget: called likewise, once a run, with the line that says which budget was hit.
        on_check: called likewise, with each call of the submission checker: `time` (UTC, ISO 8601), `status` of the
            reply, `result` (what the agent was told), `valid` (None where there is no verdict), `sha256` and `bytes` of
            the file (None where it was not taken), `seconds`, `refused_before` (calls since the last one told that came
            too soon).

        Raises:
            UsageError: both of record and replay; an address that is no loopback address.
        """
        if record is not None and replay is not None:
            raise UsageError("a gateway records or replays, not both")
        self.providers = dict(providers_from() if providers is None else providers)
        """Providers by id."""
        self.limits = limits or GatewayLimits()
        """What is borne."""
        self._models, self._prices, self._allow_hosted = models, dict(prices or {}), allow_hosted
        self._record, self._replay = record, replay
        self._group = group_meter or meter("the run group", group_budget)
        if group_used is not None:
            take_up(self._group, group_used)
        self._listen = (host, port, unix)
        self._listeners = (on_exchange, on_budget)
        self._on_check = on_check
        self._desk: CheckDesk | None = None
        self._port = 0
        self._shared: Shared | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._doors: dict[Path | None, Door] = {}
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._app = application(self._open, lambda: self._desk)

    # Start and stop

    def __enter__(self) -> Self:
        """Listen, and serve in a thread.

        Raises:
            RunnerError: an address or path is taken.
        """
        host, port, unix = self._listen
        sockets: list[socket.socket] = []
        try:
            if host is not None:
                sockets.append(tcp_socket(host, port))
                self._port = sockets[0].getsockname()[1]
            if unix is not None:
                sockets.append(unix_socket(unix))
        except BaseException:
            for made in sockets:
                made.close()
            raise
        ready = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(sockets, ready), name="mleb-gateway", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            self._thread.join()
            for made in sockets:
                made.close()
            text = " ".join(str(self._failure).split())
            raise RunnerError(f"the gateway cannot start: {text}") from self._failure
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the runs that are open still, cut off all clients and end the thread.

        Raises:
            RunGroupError: the usage.json of a run cannot be written; all else is done.
        """
        if self._loop is None or self._stop is None or self._thread is None:
            return
        failures: list[RunGroupError] = []
        for token in list(self._open().runs):
            try:
                self.close_run(token)
            except UsageError:
                continue  # another thread closed it meanwhile
            except RunGroupError as failure:
                failures.append(failure)
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop = self._shared = None
        if failures and error is None:
            raise failures[0]

    def _work(self, sockets: list[socket.socket], ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(sockets, ready))
        except Exception as error:  # told by the thread that waits for it
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, sockets: list[socket.socket], ready: threading.Event) -> None:
        keys = [provider.key for provider in self.providers.values()]
        async with new_client(self.limits.retries) as client:
            self._shared = Shared(
                client,
                Till(),
                self.limits,
                Secrets(keys),
                self._prices,
                self._allow_hosted,
                on_exchange=self._listeners[0],
                on_budget=self._listeners[1],
            )
            self._group.attach(self._shared.till)
            self._desk = CheckDesk(self._shared, self._on_check)
            self._stop = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            for made in sockets:
                door = Door(self._app, made, self.limits)
                self._doors[door.path] = door
            await asyncio.sleep(0)
            ready.set()
            await self._stop.wait()
            await asyncio.gather(*(door.close() for door in self._doors.values()))
            self._doors.clear()
            self._desk.close()

    def _call(self, work: Coroutine[Any, Any, Value]) -> Value:
        if self._loop is None:
            work.close()
            raise RunnerError("the gateway is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _open(self) -> Shared:
        if self._shared is None:
            raise RunnerError("the gateway is not running")
        return self._shared

    # Runs

    @property
    def url(self) -> str:
        """http://127.0.0.1:PORT; OpenAI's clients want /v1 after it, Anthropic's do not.

        Raises:
            RunnerError: it listens on no TCP port, or not yet.
        """
        host = self._listen[0]
        if host is None or not self._port:
            raise RunnerError("the gateway listens on no TCP port")
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    def environment(self, token: str, url: str | None = None) -> dict[str, str]:
        """The variables with which ordinary clients find the gateway.

        Args:
            token: of the run.
            url: where the agent reaches it, such as a forwarder in its container; None: `url`.
        """
        url = (self.url if url is None else url).rstrip("/")
        return {
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_BASE": f"{url}/v1",
            "OPENAI_API_KEY": token,
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": token,
        }

    def check(self, models: str | Mapping[str, str] | None = None, budget: Budget | None = None) -> None:
        """Whether runs with these models could be served; nothing is asked of a provider.

        Raises:
            UsageError: no model, no such provider, no key for it, or a budget in money and an unknown price.
        """
        wanted = self._models if models is None else models
        if not wanted:
            raise UsageError("no model is given; use --model provider/name")
        money = any(one is not None and one.cost_usd is not None for one in (budget, self._group.budget))
        for target in targets(wanted, self.providers).values():
            if self._replay is None:
                target.provider.check()
                if money and cost_usd(target.provider, target.name, Tokens(input=1, output=1), self._prices) is None:
                    raise UsageError(
                        f"the price of {target} is unknown, so a budget in money cannot be kept; "
                        "give its price, or a budget in tokens"
                    )

    def register_run(
        self,
        key: RunKey,
        layout: RunLayout,
        budget: Budget | None = None,
        *,
        models: str | Mapping[str, str] | None = None,
        token: str | None = None,
        unix: Path | None = None,
        checker: Checks | None = None,
    ) -> str:
        """Serve a run from now on.

        Args:
            key: which run.
            layout: its directory; exists.
            budget: what it may use; None: as much as it likes.
            models: its models, as in `Gateway`; None: those of the gateway. Without any, model calls are refused.
            token: that of a run that was registered with a gateway that is gone, and goes on: its use counts on from
                its transcript. None: a new attempt.
            unix: a unix socket of the run's own, so that its connections cannot crowd out those of others. Files handed
                to the checker over it need no token.
            checker: who checks its submissions, such as a `mleb_core.grading.checker.Checker`; None: nobody.

        Returns:
            The token with which the run's requests are known.

        Raises:
            UsageError: as `check`; or the token is of a run that is open.
            RunnerError: the unix socket cannot be made.
            RunGroupError: the run's directory cannot be written.
        """
        wanted = self._models if models is None else models
        if wanted:
            self.check(models, budget)
        known = targets(wanted or {}, self.providers)
        new = token or "mleb-" + secrets.token_urlsafe(32)
        if new in self._open().runs:
            raise UsageError(f"{key} is registered already")
        try:
            transcript = Transcript(layout.transcript, self.limits.transcript_bytes)
            before = usage_in(layout.transcript) if token else None
            recorder = Recorder(self._record, key, go_on=token is not None) if self._record else None
        except OSError as error:
            raise RunGroupError(f"{error.filename or layout.root} cannot be written: {error.strerror}") from error
        replay = Replay(self._replay, key) if self._replay else None
        run = OpenRun(key, layout, new, known, (meter("this run", budget), self._group), transcript, recorder, replay)
        if before is not None:
            run.go_on(before)
        run.checker = checker
        listening = unix_socket(unix) if unix is not None else None
        self._call(self._register(run, listening))
        return new

    async def _register(self, run: OpenRun, listening: socket.socket | None) -> None:
        shared = self._open()
        shared.secrets.add(run.token)
        shared.runs[run.token] = run
        if listening is not None:
            door = Door(OfRun(self._app, run), listening, self.limits)
            run.door = door
            self._doors[door.path] = door

    def usage(self, token: str) -> Usage:
        """What a run has used so far.

        Raises:
            UsageError: no such run is open.
        """
        return self._run(token).usage()

    def budget_reached(self, token: str) -> str | None:
        """Which budget a run has hit: the line that the agent was told; None: none.

        Raises:
            UsageError: no such run is open.
        """
        return self._run(token).budget_reached

    def group_usage(self) -> tuple[int, int, float]:
        """Model calls, tokens and known cost in US dollars of the whole group."""
        return self._group.requests, self._group.tokens, self._group.cost_usd

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in the gateway itself, a line each."""
        return tuple(self._shared.problems) if self._shared else ()

    def close_run(self, token: str) -> Usage:
        """Serve a run no longer: what is under way is cut off, and usage.json is written.

        Raises:
            UsageError: no such run is open.
            RunGroupError: usage.json cannot be written; the run is closed all the same.
        """
        run = self._run(token)
        usage = self._call(self._close(run))
        try:
            write_whole(run.layout.usage, usage.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise RunGroupError(f"{run.layout.usage} cannot be written: {error.strerror}") from error
        return usage

    async def _close(self, run: OpenRun) -> Usage:
        run.closed = True
        while run.tasks:
            for task in run.tasks:
                task.cancel()
            await asyncio.wait(set(run.tasks))
        shared = self._open()
        shared.runs.pop(run.token, None)
        if run.door is not None:
            self._doors.pop(run.door.path, None)
            await run.door.close()
        return run.usage()

    def _run(self, token: str) -> OpenRun:
        run = self._open().runs.get(token)
        if run is None:
            raise UsageError("no run with this token is open in the gateway")
        return run
