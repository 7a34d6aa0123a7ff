"""What `mleb doctor` says of providers of models: whose keys are there, and where from. Never what they are."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mleb.checks import Finding

if TYPE_CHECKING:
    from mleb_core.gateway.providers import Provider

__all__ = ["model_keys"]

WHAT = "model keys"
TO_GET = "needed for agents that ask a model: put OPENAI_API_KEY=... or another provider's into the environment or .env"


def model_keys(env: Mapping[str, str], dotenv: Path) -> Iterator[Finding]:
    """Whose keys are there, what is wrong with one, and whether the file that holds them is private.

    Args:
        env: the environment, with what `.env` adds.
        dotenv: that file.
    """
    from mleb_core.errors import MlebError
    from mleb_core.gateway.providers import providers_from

    try:
        providers = providers_from(env)
    except MlebError as error:
        yield Finding(WHAT, "problem", str(error), "mend that variable in the environment or .env")
        return
    from_file = _values(dotenv)
    there, absent = [], []
    # A provider of two names has one key.
    by_key = {provider.key_names or (provider.id,): provider for provider in reversed(providers.values())}
    for provider in reversed(by_key.values()):
        names = provider.key_names or (_own_key(provider),)
        name = next((name for name in names if env.get(name, "").strip()), None)
        if name is not None:
            there.append(f"{provider.id} ({name}{', .env' if from_file.get(name) == env[name] else ''})")
            if what := _oddity(env[name]):
                yield Finding(f"key {name}", "warning", f"it holds {what}", "set it again, without quotes or blanks")
        elif provider.key_names:
            absent.append(f"{provider.id} ({' or '.join(names)})")
        else:
            there.append(f"{provider.id} (no key, at {_place(provider.base_url)})")
    found = f"{', '.join(there)}; none for {', '.join(absent)}" if there else f"none for {', '.join(absent)}"
    yield Finding(WHAT, "ok" if there else "absent", found, "" if there else TO_GET)
    if any(name.endswith("_API_KEY") and value for name, value in from_file.items()) and _is_open(dotenv):
        yield Finding(".env", "warning", "it holds keys, and others can read it", "chmod 600 .env")


def _own_key(provider: "Provider") -> str:
    """The variable that may hold the key of a provider of one's own."""
    return f"MLEB_PROVIDER_{provider.id.upper().replace('-', '_')}_API_KEY"


def _place(url: str) -> str:
    """Where a URL leads, without the password that it may hold."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _values(dotenv: Path) -> dict[str, str | None]:
    if not dotenv.is_file():
        return {}
    import dotenv as reader

    return dict(reader.dotenv_values(dotenv))


def _oddity(key: str) -> str:
    """What a key holds that no provider's has; "" for nothing."""
    if any(character.isspace() for character in key.strip()):
        return "a blank or line break"
    if key.strip()[0] in "\"'":
        return "quotes"
    return "" if key.isascii() and key.strip().isprintable() else "characters that no key has"


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
