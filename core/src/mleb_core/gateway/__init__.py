"""The model gateway: the only way of an agent to a model, and the only place that holds providers' keys.

Beside it stands the submission checker, `POST /validate`; a gateway without models is one alone.

One gateway serves a run group, on the host. It speaks as OpenAI (chat and text completions, responses, embeddings,
models) and as Anthropic (messages), streaming or not, on 127.0.0.1 or a unix socket. Each run has a token; its requests
are checked, counted against budgets, sent to the provider that its model names, priced, and written to
transcript.jsonl.

    from mleb_core.gateway import Budget, Gateway

`Gateway` needs `pip install mleb-core[gateway]`; the rest does not.

    server.py     Gateway: start, stop, register and close runs     records.py    Budget, Usage, Tokens, Price
    exchange.py   one exchange, from request to transcript line     shared.py     what exchanges share
                                                                    providers.py  who runs models, and where
    asked.py      reading what an agent asks                        budgets.py    budgets under concurrency
    forward.py    asking a provider, again if need be               prices.py     what tokens cost
    streams.py    server-sent events, put together                  transcript.py transcript.jsonl, secrets
    shapes.py     usage and errors of each endpoint                 recording.py  record and replay
    serving.py    sockets and connections                           limits.py     what is borne
    open_run.py   a run's state                                     checker.py    is a submission valid?
    asking.py     a model asked by mleb itself, as audits do
"""

from typing import TYPE_CHECKING, Any

from mleb_core.errors import UsageError
from mleb_core.gateway.providers import Endpoint, Provider, providers_from, resolve
from mleb_core.gateway.records import Budget, ModelUsage, Price, Tokens, Usage
from mleb_core.gateway.transcript import usage_in

if TYPE_CHECKING:
    from mleb_core.gateway.checker import Checks, Verdict
    from mleb_core.gateway.forward import Retries
    from mleb_core.gateway.limits import GatewayLimits
    from mleb_core.gateway.server import Gateway

__all__ = [
    "Budget",
    "Checks",
    "Endpoint",
    "Gateway",
    "GatewayLimits",
    "ModelUsage",
    "Price",
    "Provider",
    "Retries",
    "Tokens",
    "Usage",
    "Verdict",
    "providers_from",
    "resolve",
    "usage_in",
]

_LATE = {"Gateway": "server", "GatewayLimits": "limits", "Retries": "forward"} | {
    "Checks": "checker",
    "Verdict": "checker",
}


def __getattr__(name: str) -> Any:
    """What needs the extra `gateway` is imported when it is asked for."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        module = importlib.import_module(f"{__name__}.{_LATE[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {
            "starlette",
            "uvicorn",
            "httpx2",
            "genai_prices",
            "h11",
            "python_multipart",
        }:
            raise
        raise UsageError(f"the model gateway needs {error.name}; pip install 'mleb-core[gateway]'") from error
    return getattr(module, name)
