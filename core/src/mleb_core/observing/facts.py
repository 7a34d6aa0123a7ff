"""What may be told of runs to other systems: flat names and plain values, and never a secret.

Names are dotted for configuration (`limits.time_s`) and have slashes for what is measured (`tokens/input`).
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mleb_core.agent import AgentId
from mleb_core.layout import RunLayout
from mleb_core.report.models import GroupReport, RunReport
from mleb_core.run import Run, RunGroup
from mleb_core.runner.resources import read_resources

__all__ = [
    "HIDDEN",
    "Point",
    "Value",
    "clean_report",
    "clean_text",
    "group_config",
    "group_results",
    "resource_series",
    "run_config",
    "run_results",
    "snapshot_series",
]

HIDDEN = "[hidden]"
"""Stands where a secret was."""

Value = str | int | float | bool
"""What another system gets."""
Point = tuple[float, dict[str, float]]
"""Seconds since the agent started, and the values known then, by name."""

_SECRET_NAME = re.compile(
    r"(?:^|[^a-z])(?:api_?key|key|token|secret|password|passwd|credentials?|auth|authorization|cookie)s?(?:$|[^a-z])",
    re.IGNORECASE,
)
_SECRET_SHAPE = re.compile(
    r"\b(?:sk|pk|rk)-[\w-]{16,}|\bhf_\w{16,}|\bgh[pousr]_\w{20,}|\bAKIA[A-Z0-9]{12,}|\bxox[abp]-[\w-]{10,}"
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*|(?<=://)[^\s/@]+:[^\s/@]+(?=@)"
)
_SHORTEST = 8
"""Shorter values of the environment are placeholders, and would tear holes into ordinary words."""
_MOST_BYTES = 32 << 20
_MEDALS = ("gold", "silver", "bronze")


def clean_text(text: str) -> str:
    """A text without secrets: values of environment variables that are named like one, and what has a key's shape."""
    for secret in _environment_secrets():
        text = text.replace(secret, HIDDEN)
    return _SECRET_SHAPE.sub(HIDDEN, text)


def group_config(group: RunGroup) -> dict[str, Value]:
    """What was asked for, of all runs of a group: limits, terms, settings, versions."""
    document = {
        "group": group.name,
        "created_at": group.created_at,
        "split": group.split,
        "seeds": group.seeds,
        "model": group.model,
        "runner": group.runner,
        "engine": group.engine,
        "workers": group.workers,
        "retries": group.retries,
        "limits": group.limits.model_dump(mode="json"),
        "terms": group.terms.model_dump(mode="json", exclude={"record", "replay"}),
        "agent_settings": group.settings,
        "plugins": {name.replace(".", "_"): version for name, version in group.plugins.items()},
    }
    return dict(_flat(document))


def run_config(group: RunGroup, run: Run) -> dict[str, Value]:
    """`group_config`, and what makes this run one of its kind."""
    agent = AgentId.parse(run.key.agent)
    id, _, edition = run.key.competition.partition("@")
    own = {
        "competition": id,
        "edition": int(edition or 1),
        "agent": run.key.agent,
        "scaffold": agent.scaffold,
        "variant": agent.variant,
        "seed": run.key.seed,
        "attempt": run.attempt,
        "data_digest": group.digests.get(run.key.competition),
    }
    return {**group_config(group), **dict(_flat(own))}


def run_results(report: RunReport, place: RunLayout) -> dict[str, Value]:
    """How a run ended: status, score, thresholds, medals as 0 and 1, tokens, money, time, what it used."""
    found: dict[str, Any] = {
        "status": report.status.value,
        "cause": report.cause.value if report.cause else None,
        "message": report.message or None,
        "attempt": report.attempt,
        "runtime_s": report.runtime_s,
        "exit_code": report.exit_code,
        "graded": int(report.graded),
        "ledger": report.ledger,
        "started_at": report.started_at,
        "ended_at": report.ended_at,
    }
    if (grade := report.competition_report) is not None:
        found |= {
            "score": grade.score,
            "is_lower_better": int(grade.is_lower_better),
            "medal": grade.medal,
            "medal/any": int(grade.any_medal),
            **{f"medal/{name}": int(getattr(grade, f"{name}_medal")) for name in _MEDALS},
            "above_median": int(grade.above_median),
            **{f"threshold/{name}": getattr(grade, f"{name}_threshold") for name in (*_MEDALS, "median")},
            "valid_submission": int(grade.valid_submission),
            "submission_exists": int(grade.submission_exists),
            "reason": grade.reason,
            "grader_error": grade.grader_error,
            "grader": grade.grader,
            "rank": grade.rank,
            "teams": grade.teams,
            "percentile": grade.percentile,
            "submission_sha256": grade.submission_sha256,
        }
    if report.resources is not None:
        found |= {f"resources/{name}": value for name, value in report.resources.model_dump(mode="json").items()}
    found |= _usage(place)
    return {name: plain for name, value in found.items() if (plain := _plain(name, value)) is not None}


def group_results(report: GroupReport) -> dict[str, Value]:
    """The figures of a whole group, `AGENT/any_medal_percentage` and the like."""
    found: dict[str, Value] = {
        f"runs/{name}": value for name, value in report.counts.model_dump(mode="json").items() if value is not None
    }
    for agent in report.agents:
        for name in ("any_medal", "gold", "silver", "bronze", "above_median", "valid_submission"):
            estimate = getattr(agent, f"{name}_percentage")
            found[f"{agent.agent}/{name}_percentage"] = estimate.mean
            if estimate.standard_error is not None:
                found[f"{agent.agent}/{name}_percentage_standard_error"] = estimate.standard_error
    return found


def resource_series(place: RunLayout) -> list[Point]:
    """Processor, memory, disk and GPUs over time, at most some hundred points; empty where nothing was recorded.

    Names: `resources/cpu_cores`, `resources/memory_bytes`, `resources/disk_bytes`,
    `resources/gpu0/utilization_percent`, `.../memory_bytes`, `.../power_w`.
    """
    known = read_resources(place)
    if known is None:
        return []
    columns: dict[str, Sequence[Any]] = {}
    for name in ("cpu_cores", "memory_bytes", "disk_bytes"):
        columns[f"resources/{name}"] = _column(known.get(name))
    gpus = known.get("gpus")
    for index, gpu in enumerate(gpus if isinstance(gpus, list) else ()):
        for name in ("utilization_percent", "memory_bytes", "power_w"):
            columns[f"resources/gpu{index}/{name}"] = _column(gpu.get(name) if isinstance(gpu, dict) else None)
    points = []
    for row, elapsed in enumerate(_column(known.get("t_s"))):
        here = {name: column[row] for name, column in columns.items() if row < len(column)}
        numbers = {name: float(value) for name, value in here.items() if _is_number(value)}
        if _is_number(elapsed) and numbers:
            points.append((float(elapsed), numbers))
    return points


def snapshot_series(place: RunLayout) -> list[Point]:
    """`snapshots/score` over time, where the run's snapshots were graded."""
    document = _json(place.snapshot_scores)
    snapshots = document.get("snapshots")
    points = []
    for one in snapshots if isinstance(snapshots, list) else ():
        elapsed, score = (one.get("elapsed_s"), one.get("score")) if isinstance(one, dict) else (None, None)
        if isinstance(elapsed, int | float) and isinstance(score, int | float):
            points.append((float(elapsed), {"snapshots/score": float(score)}))
    return points


def clean_report(report: RunReport | GroupReport) -> str:
    """A report as JSON without secrets, for systems that keep files."""
    document = report.model_dump(mode="json")
    return clean_text(json.dumps(_hidden(document), indent=2, ensure_ascii=False)) + "\n"


def _hidden(value: Any) -> Any:
    """A document without the values of agent settings and headers that are named like secrets."""
    if isinstance(value, dict):
        return {k: HIDDEN if _is_secret(k) and isinstance(v, str) else _hidden(v) for k, v in value.items()}
    return [_hidden(item) for item in value] if isinstance(value, list) else value


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name.rpartition(".")[2]) is not None


def _environment_secrets() -> list[str]:
    values = {v for k, v in os.environ.items() if _is_secret(k) and len(v) >= _SHORTEST}
    return sorted(values, key=len, reverse=True)


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        elif (plain := _plain(name, value)) is not None:
            yield name, plain


def _plain(name: str, value: Any) -> Value | None:
    if value is None or value in ((), [], {}):
        return None
    if isinstance(value, str) and _is_secret(name):
        return HIDDEN
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return clean_text(value)
    return clean_text(json.dumps(_hidden(value), ensure_ascii=False, default=str))


def _usage(place: RunLayout) -> dict[str, Any]:
    usage = _json(place.usage)
    tokens = usage.get("tokens")
    found = {f"tokens/{name}": value for name, value in tokens.items()} if isinstance(tokens, dict) else {}
    if found:
        found["tokens/total"] = sum(v for v in (found.get("tokens/input"), found.get("tokens/output")) if _is_number(v))
    found |= {f"models/{name}": usage.get(name) for name in ("requests", "failed", "refused", "seconds")}
    found |= {name: usage.get(name) for name in ("cost_usd", "known_cost_usd", "budget_reached")}
    return found


def _json(path: Any) -> dict[str, Any]:
    """A JSON object of a file; empty where there is none, or it is no such file."""
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _column(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
