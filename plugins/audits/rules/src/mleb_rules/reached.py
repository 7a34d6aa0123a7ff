"""What an agent could reach and did reach, by its ledger."""

from collections.abc import Iterable, Mapping
from typing import Any

from mleb_core.ledger import Entry
from mleb_rules.signs import Evidence, Sign

__all__ = ["MODEL_HOSTS", "SOLUTION_HOSTS", "by_ledger", "host_in"]

SOLUTION_HOSTS = frozenset({"kaggle.com", "kaggleusercontent.com", "drivendata.org", "zindi.africa", "aicrowd.com"})
"""Where public solutions, and often answers, are. Not `github.com`, for libraries come from there, too."""
MODEL_HOSTS = frozenset(
    {
        "api.anthropic.com",
        "api.cohere.com",
        "api.deepseek.com",
        "api.fireworks.ai",
        "api.groq.com",
        "api.mistral.ai",
        "api.openai.com",
        "api.perplexity.ai",
        "api.replicate.com",
        "api.together.xyz",
        "api.x.ai",
        "api-inference.huggingface.co",
        "dashscope.aliyuncs.com",
        "generativelanguage.googleapis.com",
        "openai.azure.com",
        "openrouter.ai",
    }
)
"""Services that run models."""
_SHOWN = 20


def host_in(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host is one of some, or below one of them."""
    host = host.lower().rstrip(".")
    return any(host == one or host.endswith("." + one) for one in hosts)


def by_ledger(entries: Iterable[Entry], file: str) -> list[Sign]:
    """Signs in the entries of a run's last attempt.

    Args:
        entries: of the ledger, in order.
        file: its name, for evidence.
    """
    attempt: list[Entry] = []
    for entry in entries:
        if entry.kind == "start":
            attempt = []
        attempt.append(entry)
    found = _bounds(attempt, file)
    hosts: dict[tuple[str, bool], Entry] = {}
    for entry in attempt:
        host = entry.details.get("host")
        if entry.kind == "network" and isinstance(host, str):
            hosts.setdefault((host, entry.details.get("allowed") is True), entry)
    found += _hosts(hosts, file)
    models = sorted({str(entry.details["model"]) for entry in attempt if entry.details.get("model")})
    if len(models) > 1:
        told = tuple(
            _line(next(entry for entry in attempt if entry.details.get("model") == model), file, f"model {model}")
            for model in models
        )
        found.append(Sign("other-model", "info", f"the run had {len(models)} models: {', '.join(models)}", told))
    return found


def _bounds(attempt: list[Entry], file: str) -> list[Sign]:
    """What the runner did not keep from the agent, so that the rest of this file says little."""
    found = []
    start = next((entry for entry in attempt if entry.kind == "start"), None)
    if start is None:
        return []
    isolation: Mapping[str, Any] = _table(start.details.get("isolation"))
    network = _table(start.details.get("terms")).get("network") or []
    if isolation.get("network") is False:
        message = "the runner does not keep agents off the network, so what it reached is not known"
        found.append(Sign("solutions-sought", "info", message, (_line(start, file, "isolation.network false"),)))
    elif network == ["*"]:
        message = "the network was open, so what it reached is not known"
        found.append(Sign("solutions-sought", "info", message, (_line(start, file, "terms.network *"),)))
    if isolation.get("files") is False:
        message = "the runner does not keep agents from other files of the machine, so what it read is not known"
        found.append(Sign("answers-sought", "info", message, (_line(start, file, "isolation.files false"),)))
    return found


def _hosts(hosts: Mapping[tuple[str, bool], Entry], file: str) -> list[Sign]:
    found: list[Sign] = []
    plain: list[Evidence] = []
    for (host, allowed), entry in hosts.items():
        did = "reached" if allowed else "tried to reach"
        shown = (_line(entry, file, f"{host}:{entry.details.get('port')} {'allowed' if allowed else 'refused'}"),)
        level: Any = "serious" if allowed else "warning"
        if host_in(host, SOLUTION_HOSTS):
            found.append(Sign("solutions-sought", level, f"the agent {did} {host}, where solutions are public", shown))
        elif host_in(host, MODEL_HOSTS):
            found.append(Sign("other-model", level, f"the agent {did} {host}, which runs models", shown))
        else:
            plain += shown
    if plain:
        message = f"the agent reached or tried to reach {len(plain)} further hosts"
        found.append(Sign("solutions-sought", "info", message, tuple(plain[:_SHOWN])))
    return found


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _line(entry: Entry, file: str, text: str) -> Evidence:
    return Evidence(file, f"line {entry.seq}", text[:300])
