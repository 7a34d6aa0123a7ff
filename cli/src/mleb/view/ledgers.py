"""A run's ledger as a table, and whether its chain holds."""

from pathlib import Path
from typing import Any

from mleb.view.files import read
from mleb_core.ledger import Chain, chain_of

__all__ = ["ledger_page"]

MOST = 32 << 20
AT_ONCE = 200


def ledger_page(base: Path, path: Path, first: int, kind: str = "", count: int = AT_ONCE) -> dict[str, Any]:
    """Some entries.

    Args:
        base: the way to it is trusted.
        path: ledger.jsonl.
        first: from 0, among those of the kind.
        kind: only entries of it; empty: all.
        count: how many.

    Returns:
        `total`, `first`, `kinds` (how many of each), `head`, `problems`, `entries`.

    Raises:
        FileProblem: it cannot be read.
    """
    chain: Chain = chain_of(read(base, path, MOST))
    kinds: dict[str, int] = {}
    for entry in chain.entries:
        kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
    entries = [entry for entry in chain.entries if not kind or entry.kind == kind]
    return {
        "total": len(entries),
        "first": first,
        "kinds": kinds,
        "head": chain.head,
        "problems": [str(problem) for problem in chain.problems[:20]],
        "entries": [
            {"seq": entry.seq, "time": entry.time, "kind": entry.kind, "details": entry.details, "hash": entry.hash}
            for entry in entries[first : first + count]
        ],
    }
