"""Options of `mleb eval` on the terms of a run group: what its agents may use and reach, and what is kept."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mleb.options import option, size
from mleb.units import parse_duration
from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from mleb_core.terms import Budget

__all__ = [
    "Budgets",
    "Cpus",
    "Disk",
    "Gpus",
    "GroupBudgets",
    "Image",
    "Networks",
    "Obfuscate",
    "Privileged",
    "Processes",
    "RecordTo",
    "ReplayFrom",
    "Shm",
    "SnapshotEvery",
    "parse_budget",
    "parse_interval",
]

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)([kKMG]?)", re.ASCII)
_POWERS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_BUDGETS = {"tokens": "tokens", "usd": "cost_usd", "requests": "requests"}

Cpus = Annotated[
    float | None, option("--cpus", help="Processor cores of one run.", min=0.01, metavar="N", show_default="all")
]
Gpus = Annotated[int, option("--gpus", help="GPUs of one run, its own while it runs.", min=0, metavar="N")]
Processes = Annotated[
    int | None,
    option("--processes", help="Processes and threads of a run.", min=16, metavar="N", show_default="4096"),
]
Shm = Annotated[
    int | None,
    option("--shm", help="Shared memory of one run.", parser=size, metavar="SIZE", show_default="by memory"),
]
Disk = Annotated[
    int | None,
    option("--disk", help="What one run may have written.", parser=size, metavar="SIZE", show_default="100GiB"),
]
Networks = Annotated[
    list[str] | None,
    option("--network", help="A host that agents may reach, or * for all; may be repeated.", metavar="HOST"),
]
Budgets = Annotated[
    list[str] | None,
    option("--budget", help="What a run may use of models: tokens=2M, usd=10, requests=500.", metavar="KIND=N"),
]
GroupBudgets = Annotated[
    list[str] | None, option("--group-budget", help="The same for all runs together.", metavar="KIND=N")
]
SnapshotEvery = Annotated[
    str, option("--snapshot-every", help="How often a changed submission is copied; 0: never.", metavar="DURATION")
]
Image = Annotated[str | None, option("--image", help="Base image of containers, instead of mleb's own.", metavar="REF")]
Privileged = Annotated[
    bool, option("--allow-privileged", help="Let scaffolds that need it have privileged containers.")
]
RecordTo = Annotated[Path | None, option("--record", help="Record all model exchanges there.", metavar="DIR")]
ReplayFrom = Annotated[
    Path | None, option("--replay", help="Answer agents from recorded exchanges, without a provider.", metavar="DIR")
]
Obfuscate = Annotated[bool, option("--obfuscate", help="Show agents the competition without title, story and source.")]


def parse_budget(pairs: "list[str] | None", name: str = "--budget") -> "Budget":
    """A budget from `tokens=2M`, `usd=10`, `requests=500`; k, M and G are thousands, millions, billions.

    Raises:
        UsageError: not such a pair, or one kind is given twice.
    """
    from mleb_core.terms import Budget

    found: dict[str, float] = {}
    for pair in pairs or ():
        kind, _, text = pair.partition("=")
        match = _AMOUNT.fullmatch(text.strip())
        if kind not in _BUDGETS or match is None:
            raise UsageError(f"{name} {pair!r}: expected tokens=N, usd=N or requests=N, such as tokens=2M")
        if _BUDGETS[kind] in found:
            raise UsageError(f"{name} {kind} was given twice")
        amount = float(match[1]) * _POWERS[match[2]]
        if kind != "usd" and amount != int(amount):
            raise UsageError(f"{name} {pair!r}: {kind} are whole")
        found[_BUDGETS[kind]] = amount
    return Budget(
        tokens=int(found["tokens"]) if "tokens" in found else None,
        cost_usd=found.get("cost_usd"),
        requests=int(found["requests"]) if "requests" in found else None,
    )


def parse_interval(text: str) -> float | None:
    """Seconds between snapshots; None for 0.

    Raises:
        UsageError: no duration.
    """
    return None if text.strip() in ("0", "0s") else parse_duration(text)
