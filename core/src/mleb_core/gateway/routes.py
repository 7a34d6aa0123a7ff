"""What the gateway answers at which address, as an application of starlette's."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mleb_core.gateway.asked import bearer
from mleb_core.gateway.checker import OF_RUN, CheckDesk
from mleb_core.gateway.exchange import Exchange
from mleb_core.gateway.open_run import OpenRun
from mleb_core.gateway.providers import Endpoint
from mleb_core.gateway.shapes import error_body
from mleb_core.gateway.shared import Shared

__all__ = ["OfRun", "application"]


def application(shared: Callable[[], Shared], desk: Callable[[], CheckDesk | None]) -> Starlette:
    """The gateway's application.

    Args:
        shared: gives what all exchanges share, once the gateway runs.
        desk: gives the submission checker's desk, likewise.
    """
    models = _ModelList(shared)

    async def own_failure(request: Request, error: Exception) -> Response:
        shared().problem(None, request.url.path[:100], error)
        return _error(500, "gateway_error", "the gateway failed; the harness was told")

    app = Starlette(
        routes=[
            *(Route(f"/v1{endpoint}", _Late(endpoint, shared), methods=["POST"]) for endpoint in Endpoint),
            Route("/v1/models", models.all, methods=["GET"]),
            Route("/v1/models/{name:path}", models.one, methods=["GET"]),
            Route("/validate", _Check(desk), methods=["POST"]),
            Route("/health", _health, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _no_route, Exception: own_failure},
    )
    app.router.redirect_slashes = False
    return app


class OfRun:
    """The application as it stands behind a run's own socket."""

    def __init__(self, app: Starlette, run: OpenRun) -> None:
        """Args:
        app: the application.
        run: whose socket it is.
        """
        self.app, self.run = app, run

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as the application does, knowing whose request it is."""
        scope[OF_RUN] = self.run
        await self.app(scope, receive, send)


class _ModelList:
    """The models that a run may ask."""

    def __init__(self, shared: Callable[[], Shared]) -> None:
        self._shared = shared

    async def all(self, request: Request) -> Response:
        models = self._of(request)
        if models is None:
            return _error(401, "authentication_error", "no run has this token")
        ends = {"first_id": models[0]["id"], "last_id": models[-1]["id"]} if models else {}
        return JSONResponse({"object": "list", "data": models, "has_more": False, **ends})

    async def one(self, request: Request) -> Response:
        models = self._of(request)
        if models is None:
            return _error(401, "authentication_error", "no run has this token")
        name = request.path_params["name"]
        for model in models:
            if model["id"] == name:
                return JSONResponse(model)
        return _error(404, "model_not_found", f"no model {name[:200]!r} here")

    def _of(self, request: Request) -> list[dict[str, Any]] | None:
        run = self._shared().runs.get(bearer(request.scope))
        if run is None or run.closed:
            return None
        return [
            {"id": name, "object": "model", "created": 0, "owned_by": target.provider.id}
            | {"type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
            for name, target in sorted(run.targets.items())
        ]


class _Late:
    """An endpoint whose shared state is there once the gateway runs."""

    def __init__(self, endpoint: Endpoint, shared: Callable[[], Shared]) -> None:
        self.endpoint, self.shared = endpoint, shared

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await Exchange(self.endpoint, self.shared())(scope, receive, send)


class _Check:
    """The checker, once the gateway runs."""

    def __init__(self, desk: Callable[[], CheckDesk | None]) -> None:
        self.desk = desk

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        desk = self.desk()
        assert desk is not None
        await desk(scope, receive, send)


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "running"})


def _error(status: int, kind: str, message: str) -> Response:
    return Response(error_body(None, kind, message), status, {"connection": "close"}, "application/json")


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    paths = ", ".join(f"POST /v1{endpoint}" for endpoint in Endpoint)
    return _error(status, "not_found", f"the gateway offers {paths}, POST /validate, GET /v1/models, GET /health")
