"""`mleb list KIND`: what is installed."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from mleb.output import print_json, print_notice, print_table, stdout_kept

if TYPE_CHECKING:
    import typer

    from mleb_core.registry import Registry

__all__ = ["KINDS", "register", "show"]

Rows = list[dict[str, Any]]


def register(app: "typer.Typer") -> None:
    """Add the command."""
    from typing import Annotated

    import typer

    from mleb.options import AsJson

    def list_(
        kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(KINDS)}.", metavar="KIND")],
        as_json: AsJson = False,
    ) -> None:
        """List what is installed: competitions, agents, graders, and more."""
        if kind not in KINDS:
            from mleb_core.errors import UnknownIdError

            raise UnknownIdError("kind of thing to list", kind, KINDS)
        show(kind, as_json=as_json)

    app.command("list")(list_)


def show(kind: str, *, as_json: bool) -> None:
    """Print one listing.

    Args:
        kind: a key of KINDS.
        as_json: rows as JSON instead of a table.
    """
    from mleb_core.registry import Registry

    with stdout_kept():
        registry = Registry()
        columns, rows = KINDS[kind](registry)
    if as_json:
        print_json(rows)
    else:
        print_table(columns, [[_cell(row.get(column.replace(" ", "_"), "")) for column in columns] for row in rows])
    for row in rows:
        if kind == "competitions" and row.get("error"):
            print_notice(row["error"])
    broken = [plugin for plugin in registry.manager.plugins if plugin.error]
    if broken and kind != "plugins":
        print_notice(f"{len(broken)} of the plugins cannot be used; see `mleb plugin list`")


def _competitions(registry: "Registry") -> tuple[list[str], Rows]:
    from mleb.summaries import competition_summaries

    rows = competition_summaries(registry.competitions.values())
    for row in rows:
        row["plugin"] = _owner(registry, "competition", row["id"])
    return ["id", "category", "complexity", "splits", "editions", "known issues", "title"], rows


def _agents(registry: "Registry") -> tuple[list[str], Rows]:
    rows = _described(registry, "agent", registry.scaffolds.values())
    for row in rows:
        row["variants"] = _variants(registry.scaffolds[row["id"]])
    return ["id", "variants", "summary"], rows


def _graders(registry: "Registry") -> tuple[list[str], Rows]:
    rows = _described(registry, "grader", registry.graders.values())
    for row in rows:
        row["higher_is_better"] = bool(registry.graders[row["id"]].higher_is_better)
    return ["id", "higher is better", "summary"], rows


def _runners(registry: "Registry") -> tuple[list[str], Rows]:
    rows = _described(registry, "runner", registry.runners.values())
    for row in rows:
        isolation = registry.runners[row["id"]].isolation
        row["isolates"] = [
            name for name in ("files", "network", "memory", "processes") if getattr(isolation, name, False)
        ]
    return ["id", "isolates", "summary"], rows


def _engines(registry: "Registry") -> tuple[list[str], Rows]:
    return ["id", "summary"], _described(registry, "engine", registry.engines.values())


def _observers(registry: "Registry") -> tuple[list[str], Rows]:
    return ["id", "summary"], _described(registry, "observer", registry.observers.values())


def _audits(registry: "Registry") -> tuple[list[str], Rows]:
    rows = _described(registry, "audit", registry.audits.values())
    for row in rows:
        audit = registry.audits[row["id"]]
        row["looks_at"] = [what for what in ("data", "runs") if hasattr(audit, f"audit_{what}")]
    return ["id", "looks at", "summary"], rows


def _splits(registry: "Registry") -> tuple[list[str], Rows]:
    from mleb.summaries import competition_summaries
    from mleb_core.registry import SPLIT_ALIASES

    found: dict[str, list[str]] = {}
    for summary in competition_summaries(registry.competitions.values()):
        for split in summary.get("splits", ()):
            found.setdefault(split, []).append(summary["id"])
    rows = [
        {
            "id": split,
            "aliases": sorted(alias for alias, name in SPLIT_ALIASES.items() if name == split),
            "count": len(ids),
            "competitions": ids,
        }
        for split, ids in sorted(found.items())
    ]
    return ["id", "aliases", "count", "competitions"], rows


def plugin_rows(registry: "Registry") -> tuple[list[str], Rows]:
    """Every plugin that was found, with the error of one that cannot be used."""
    registry.load_all()
    rows = [
        {
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "hooks": list(plugin.hooks),
            "error": plugin.error,
        }
        for plugin in registry.manager.plugins
    ]
    for row in rows:
        row["state"] = f"error: {row['error']}" if row["error"] else "works"
    return ["name", "distribution", "version", "state"], rows


def _standings(registry: "Registry") -> tuple[list[str], Rows]:
    """Published results to compare with (mleb report --against)."""
    from mleb_core.report.standings import standings

    rows = [standing.model_dump(mode="json") for standing in standings()]
    return ["id", "low", "medium", "high", "all", "hours", "date", "source"], rows


KINDS: dict[str, Callable[["Registry"], tuple[list[str], Rows]]] = {
    "competitions": _competitions,
    "agents": _agents,
    "graders": _graders,
    "runners": _runners,
    "engines": _engines,
    "observers": _observers,
    "audits": _audits,
    "splits": _splits,
    "standings": _standings,
    "plugins": plugin_rows,
}
"""What can be listed; each gives the columns of the table and the rows of the JSON."""


def _described(registry: "Registry", kind: str, items: Iterable[Any]) -> Rows:
    return [{"id": i.id, "summary": str(i.summary), "plugin": _owner(registry, kind, i.id)} for i in items]


def _variants(scaffold: Any) -> list[str]:
    try:
        return [str(variant) for variant in scaffold.variants()]
    except Exception as error:
        print_notice(f"agent {scaffold.id}: variants() failed: {error}")
        return []


def _owner(registry: "Registry", kind: str, id: str) -> str:
    plugin = registry.owner(kind, id)
    return plugin.distribution if plugin else "mleb-core"


def _cell(value: object) -> str:
    if isinstance(value, list) and value and all(isinstance(item, float) for item in value):
        return " ± ".join(f"{item:.2f}" for item in value)  # a mean and its standard error
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in (None, "") else str(value)
