"""One run as it lies on disk, for an attestation: its ledger read once. What does not hold is for `verify` to say."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mleb_core.layout import RunLayout
from mleb_core.ledger import Chain, Entry, Kind, check_chain
from mleb_core.report.models import RunReport
from mleb_core.run import RunKey

__all__ = ["Call", "SeenRun", "digest", "heads_digest", "seen_run"]


@dataclass(frozen=True)
class Call:
    """One exchange with a model."""

    model: str
    """`provider/name`."""
    failed: bool
    """Whether it ended with an error."""
    tokens: int
    """Input and output."""
    estimated: bool
    """Whether the provider did not tell the tokens."""
    cost_usd: float | None
    """None: the price is unknown."""


@dataclass
class SeenRun:
    """What is there of one run."""

    key: RunKey
    """Which run."""
    report: RunReport | None
    """Its report, where there is one that counts."""
    report_sha256: str | None
    """Of report.json; None without it."""
    attempts: int = 0
    """Starts in its ledger."""
    entries: int = 0
    """Lines of its ledger."""
    head: str | None = None
    """Hash of the last; None without a ledger."""
    machine: dict[str, Any] | None = None
    """Facts of the machine of its last start, without ids of GPUs; None: not recorded."""
    isolation: tuple[str, tuple[str, ...], tuple[str, ...]] | None = None
    """Runner of its last start, what that kept, what it did not; None: not recorded."""
    gpus: tuple[str, ...] = ()
    """Product names of its GPUs; their ids where the names are not known."""
    image: tuple[str, str] | None = None
    """Reference and digest of its last image."""
    privileged: bool = False
    """Whether its agent had a privileged container."""
    checker_calls: int = 0
    """Calls of the checker."""
    calls: list[Call] = field(default_factory=list)
    """Exchanges with models."""
    hosts: set[tuple[str, bool]] = field(default_factory=set)
    """Hosts with their ports that it asked the proxy for, and whether it was let through."""
    faults: set[str] = field(default_factory=set)
    """Kinds of what its ledger tells went wrong while it was kept: `torn`, `spoilt`, `late`, `resources`,
    `snapshot_failed`."""


def seen_run(key: RunKey, place: RunLayout, report: RunReport | None) -> SeenRun | None:
    """What is there of a run; None: nothing."""
    if not (place.run.exists() or place.report.exists() or place.ledger.exists()):
        return None
    seen = SeenRun(key, report, digest(place.report), privileged=bool(report and report.privileged))
    try:
        chain = check_chain(place.ledger)
    except OSError:
        chain = Chain([], [])
    if chain.entries:
        seen.head, seen.entries = chain.head, len(chain.entries)
    for entry in chain.entries:
        _take(seen, entry)
    return seen


def digest(path: Path) -> str | None:
    """sha256 of a file; None where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None


def heads_digest(runs: Iterable[SeenRun]) -> str | None:
    """sha256 of the lines `competition agent seed head` of the runs with a ledger, in their order; None without any."""
    lines = [f"{run.key.competition} {run.key.agent} {run.key.seed} {run.head}\n" for run in runs if run.head]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest() if lines else None


def _take(seen: SeenRun, entry: Entry) -> None:
    details = entry.details
    if details.get("late"):
        seen.faults.add("late")
    if entry.kind == Kind.START:
        seen.attempts += 1
        seen.image, seen.privileged = None, False
        machine = details.get("machine")
        seen.machine = _without_ids(machine) if isinstance(machine, dict) else None
        seen.gpus = _names(details.get("gpus"), machine)
        seen.isolation = _isolation(details)
    elif entry.kind == Kind.IMAGE:
        seen.image = (str(details.get("reference", "")), str(details.get("digest", "")))
    elif entry.kind == "privileged":
        seen.privileged = True
    elif entry.kind == Kind.CHECK:
        seen.checker_calls += 1
    elif entry.kind == Kind.GATEWAY:
        seen.calls.append(_call(details))
    elif entry.kind == "network":
        seen.hosts.add((f"{details.get('host')}:{details.get('port')}", bool(details.get("allowed"))))
    elif entry.kind in (Kind.TORN, Kind.SPOILT, "resources", "snapshot_failed"):
        seen.faults.add(str(entry.kind))


def _call(details: Mapping[str, Any]) -> Call:
    tokens, cost = details.get("tokens"), details.get("cost_usd")
    counted = tokens if isinstance(tokens, dict) else {}
    numbers = [counted.get(name) for name in ("input", "output")]
    return Call(
        model=str(details.get("model") or "unknown"),
        failed=details.get("error") is not None,
        tokens=sum(number for number in numbers if isinstance(number, int)),
        estimated=bool(details.get("estimated")),
        cost_usd=float(cost) if isinstance(cost, int | float) else None,
    )


def _isolation(details: Mapping[str, Any]) -> tuple[str, tuple[str, ...], tuple[str, ...]] | None:
    kept = details.get("isolation")
    if not isinstance(kept, dict):
        return None
    names = sorted(map(str, kept))
    return (
        str(details.get("runner")),
        tuple(name for name in names if kept[name]),
        tuple(name for name in names if not kept[name]),
    )


def _without_ids(machine: Mapping[str, Any]) -> dict[str, Any]:
    gpus = machine.get("gpus")
    if not isinstance(gpus, list):
        return dict(machine)
    kept = [{name: gpu[name] for name in gpu if name != "id"} for gpu in gpus if isinstance(gpu, dict)]
    return {**machine, "gpus": kept}


def _names(ids: object, machine: object) -> tuple[str, ...]:
    gpus = machine.get("gpus") if isinstance(machine, dict) else None
    known = {gpu.get("id"): gpu.get("name") for gpu in gpus or () if isinstance(gpu, dict)}
    return tuple(str(known.get(id) or id) for id in ids) if isinstance(ids, list) else ()
