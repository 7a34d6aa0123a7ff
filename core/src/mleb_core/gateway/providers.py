"""Model providers: where they are, which endpoints they have, and which variable holds the key.

A model is named `provider/name`; the name may hold slashes itself (`together/meta-llama/Llama-3.3-70B`).
"""

import enum
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mleb_core.errors import UnknownIdError, UsageError

__all__ = ["Endpoint", "Provider", "providers_from", "resolve"]


class Endpoint(enum.StrEnum):
    """What agents may ask, by path."""

    CHAT = "/chat/completions"
    RESPONSES = "/responses"
    EMBEDDINGS = "/embeddings"
    MESSAGES = "/messages"
    COMPLETIONS = "/completions"


CHAT, RESPONSES, EMBEDDINGS, MESSAGES, COMPLETIONS = Endpoint


@dataclass(frozen=True)
class Provider:
    """A service that runs models."""

    id: str
    """First part of its models' names."""
    base_url: str
    """To which an endpoint's path is added; without a slash at its end."""
    endpoints: tuple[Endpoint, ...] = tuple(Endpoint)
    """What it has."""
    key: str | None = field(default=None, repr=False)
    """The key; None: none is there."""
    key_names: tuple[str, ...] = ()
    """Environment variables that may hold the key; empty: it needs none."""
    price_id: str | None = None
    """Its name in genai-prices; None: its prices are unknown."""

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        """The headers that carry the key."""
        if self.key is None:
            return {}
        if endpoint is MESSAGES and self.id == "anthropic":
            return {"x-api-key": self.key}
        return {"authorization": f"Bearer {self.key}"}

    def check(self) -> None:
        """Whether it can be asked.

        Raises:
            UsageError: it needs a key and has none; the message names the variable.
        """
        if self.key is None and self.key_names:
            raise UsageError(f"no key for provider {self.id}; set {' or '.join(self.key_names)}")


def _known() -> list[Provider]:
    def make(id: str, url: str, *endpoints: Endpoint, keys: tuple[str, ...] = ()) -> Provider:
        names = keys or (f"{id.upper()}_API_KEY",)
        return Provider(id, url, endpoints, key_names=names, price_id=id)

    google = make(
        "google",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        CHAT,
        EMBEDDINGS,
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    )
    return [
        make("openai", "https://api.openai.com/v1", CHAT, RESPONSES, EMBEDDINGS, COMPLETIONS),
        make("anthropic", "https://api.anthropic.com/v1", MESSAGES, CHAT),
        google,
        replace(google, id="gemini"),
        make("openrouter", "https://openrouter.ai/api/v1", *Endpoint),
        make("groq", "https://api.groq.com/openai/v1", CHAT, RESPONSES),
        make("mistral", "https://api.mistral.ai/v1", CHAT, EMBEDDINGS),
        make("together", "https://api.together.xyz/v1", CHAT, EMBEDDINGS, COMPLETIONS),
        make("deepseek", "https://api.deepseek.com/v1", CHAT),
    ]


def providers_from(env: Mapping[str, str] | None = None) -> dict[str, Provider]:
    """All providers, with what the environment says of them.

    <PROVIDER>_API_KEY holds a key, <PROVIDER>_BASE_URL another address (OPENAI_BASE_URL, ...). A provider of one's own:
    MLEB_PROVIDER_<NAME>_BASE_URL, with MLEB_PROVIDER_<NAME>_API_KEY if it wants a key; its models are `name/...`
    (NAME in lower case, `_` as `-`).

    Args:
        env: the environment; None: that of this process.

    Raises:
        UsageError: an address is no http or https URL.
    """
    env = os.environ if env is None else env
    found = {}
    for provider in _known():
        key = next((env[name].strip() for name in provider.key_names if env.get(name, "").strip()), None)
        name = f"{provider.id.upper()}_BASE_URL"
        url = _url(name, env[name]) if env.get(name) else provider.base_url
        found[provider.id] = replace(provider, key=key, base_url=url)
    for name, value in sorted(env.items()):
        if (match := re.fullmatch(r"MLEB_PROVIDER_([A-Z0-9_]+)_BASE_URL", name)) and value:
            id = match[1].lower().replace("_", "-")
            key = env.get(f"MLEB_PROVIDER_{match[1]}_API_KEY", "").strip() or None
            found[id] = Provider(id, _url(name, value), key=key)
    return found


def _url(name: str, value: str) -> str:
    url = value.strip().rstrip("/")
    if not re.match(r"https?://[^/\s]+", url):
        raise UsageError(f"{name} is {value!r}, which is no http or https address")
    return url


def resolve(model: str, providers: Mapping[str, Provider]) -> tuple[Provider, str]:
    """The provider of a model and the model's name there.

    Raises:
        UsageError: not of the form `provider/name`.
        UnknownIdError: no such provider.
    """
    id, _, name = model.partition("/")
    if not id or not name:
        raise UsageError(f"{model!r} is no model; expected provider/name, such as openai/gpt-4o")
    if id not in providers:
        raise UnknownIdError("provider", id, providers)
    return providers[id], name
