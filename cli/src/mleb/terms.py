"""Options of `mleb eval` on the terms of a run group: what its agents may use and reach, and what is kept."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from mleb.options import option, parsed_by, size
from mleb.units import parse_count, parse_duration

if TYPE_CHECKING:
    from mleb_core.terms import Budget

__all__ = [
    "Budgets",
    "Cpus",
    "Disk",
    "Gpus",
    "GroupBudgets",
    "Image",
    "MaxCost",
    "MaxTokens",
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
MaxCost = Annotated[
    float | None,
    option(
        "--max-cost",
        help="US dollars that a run may spend on models; as --budget usd=N.",
        parser=parsed_by(parse_count),
        metavar="USD",
    ),
]
MaxTokens = Annotated[
    float | None,
    option(
        "--max-tokens",
        help="Tokens that a run may use, such as 2M; as --budget tokens=N.",
        parser=parsed_by(parse_count),
        metavar="N",
    ),
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


def parse_budget(
    pairs: "list[str] | None",
    name: str = "--budget",
    *,
    max_cost: float | None = None,
    max_tokens: float | None = None,
) -> "Budget":
    """A budget from the texts of --budget and the numbers of --max-cost and --max-tokens (`mleb_core.terms.budget_of`).

    Raises:
        UsageError: as `budget_of`.
    """
    from mleb_core.terms import budget_of  # pydantic costs 100 ms

    return budget_of(pairs or (), name, max_cost=max_cost, max_tokens=max_tokens)


def parse_interval(text: str) -> float | None:
    """Seconds between snapshots; None for 0.

    Raises:
        UsageError: no duration.
    """
    return None if text.strip() in ("0", "0s") else parse_duration(text)
