"""Which competitions are asked for: by their ids, or by a split, in an edition."""

from collections.abc import Sequence

from mleb_core.competition import Competition
from mleb_core.errors import UsageError
from mleb_core.registry import Registry

__all__ = ["in_edition", "select"]


def select(registry: Registry, ids: Sequence[str], split: str | None, edition: int) -> list[Competition]:
    """The competitions named, or those of the split; never twice the same.

    Raises:
        UsageError: both, neither, an unknown id, split or edition.
    """
    if ids and split:
        raise UsageError(f"choose -c or --split, not both: -c {ids[0]} --split {split}")
    if ids:
        competitions = [in_edition(registry, id, edition) for id in ids]
    elif split:
        competitions = [in_edition(registry, competition.id, edition) for competition in registry.split(split)]
    else:
        raise UsageError("no competition was asked for; use -c ID or --split NAME (`mleb list competitions`)")
    return list({competition.label: competition for competition in competitions}.values())


def in_edition(registry: Registry, label: str, edition: int) -> Competition:
    """A competition; `ID@N` wins over `edition`.

    Raises:
        UsageError: no such competition or edition.
    """
    competition = registry.competition(label)
    return competition if "@" in label or edition == 1 else competition.in_edition(edition)
