"""Lookup of what plugins registered: by id, by split, with "did you mean"."""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.agent import AgentId, Scaffold
from mleb_core.competition import Competition
from mleb_core.errors import PluginError, UnknownIdError, UsageError
from mleb_core.plugins import LoadedPlugin, PluginManager, load_plugins

if TYPE_CHECKING:
    from mleb_core.audits.protocol import Audit
    from mleb_core.engine.protocol import Engine
    from mleb_core.grading.protocol import Grader
    from mleb_core.observing.protocol import Observer
    from mleb_core.runner.protocol import Runner

__all__ = ["SPLIT_ALIASES", "Registry"]

SPLIT_ALIASES: Mapping[str, str] = {"lite": "low", "split75": "all"}
"""Other names of splits: the benchmark's own."""


class Registry:
    """Everything that the plugins of a manager registered.

    A plugin that fails meanwhile, or whose id another plugin has already, keeps its error in its record and
    gives nothing; looking up its id raises that error.
    """

    def __init__(self, manager: PluginManager | None = None) -> None:
        """Args:
        manager: the plugins; None: all that are installed.
        """
        self.manager = load_plugins() if manager is None else manager
        self._lost: dict[tuple[str, str], LoadedPlugin] = {}
        self._owners: dict[tuple[str, str], LoadedPlugin] = {}

    @cached_property
    def competitions(self) -> Mapping[str, Competition]:
        """By id."""
        return self._collect("competition", "mleb_register_competitions", Competition)

    @cached_property
    def scaffolds(self) -> Mapping[str, Scaffold]:
        """By id."""
        return self._collect("agent", "mleb_register_agents", Scaffold)

    @cached_property
    def graders(self) -> "Mapping[str, Grader]":
        """By id."""
        from mleb_core.grading.protocol import Grader

        return self._collect("grader", "mleb_register_graders", Grader)

    @cached_property
    def runners(self) -> "Mapping[str, Runner]":
        """By id, core's own first."""
        from mleb_core.runner.docker.runner import DockerRunner
        from mleb_core.runner.local import LocalRunner
        from mleb_core.runner.protocol import Runner

        return self._collect("runner", "mleb_register_runners", Runner, (LocalRunner(), DockerRunner()))

    @cached_property
    def engines(self) -> "Mapping[str, Engine]":
        """By id, core's own first."""
        from mleb_core.engine.local import LocalEngine
        from mleb_core.engine.protocol import Engine

        return self._collect("engine", "mleb_register_engines", Engine, (LocalEngine(),))

    @cached_property
    def observers(self) -> "Mapping[str, Observer]":
        """By id."""
        from mleb_core.observing.protocol import Observer

        return self._collect("observer", "mleb_register_observers", Observer)

    @cached_property
    def audits(self) -> "Mapping[str, Audit]":
        """By id."""
        from mleb_core.audits.protocol import Audit

        return self._collect("audit", "mleb_register_audits", Audit)

    @property
    def splits(self) -> Mapping[str, tuple[str, ...]]:
        """Competition ids by split."""
        found: dict[str, list[str]] = {}
        for competition in self.competitions.values():
            for split in competition.splits:
                found.setdefault(split, []).append(competition.id)
        return {name: tuple(ids) for name, ids in sorted(found.items())}

    def competition(self, label: str) -> Competition:
        """A competition by id or label (`iris`, `iris@2`).

        Raises:
            UnknownIdError: no such id.
            UsageError: no such edition.
            PluginError: the plugin that brings it does not work.
        """
        id, at, edition = label.partition("@")
        competition: Competition = self._get("competition", self.competitions, id)
        if not at:
            return competition
        if not re.fullmatch("[0-9]{1,9}", edition):
            raise UsageError(f"{label!r}: expected ID@N with a number N after the @")
        return competition.in_edition(int(edition))

    def split(self, name: str) -> list[Competition]:
        """The competitions of a split: its name, an alias, a category, or a text file with an id a line (# comments).

        Raises:
            UnknownIdError: no such split, or the file names an unknown competition.
            UsageError: the file cannot be read, or names none.
        """
        splits = self.splits
        ids: Iterable[str]
        if (known := SPLIT_ALIASES.get(name, name)) in splits:
            ids = splits[known]
        elif known in (categories := {competition.category for competition in self.competitions.values()}):
            ids = [competition.id for competition in self.competitions.values() if competition.category == known]
        elif Path(name).is_file():
            ids = _listed_in(Path(name))
        else:
            aliases = (alias for alias, split in SPLIT_ALIASES.items() if split in splits)
            raise UnknownIdError("split", name, [*splits, *aliases, *categories])
        return [self.competition(id) for id in ids]

    def scaffold(self, agent: str) -> tuple[Scaffold, AgentId]:
        """The scaffold of an agent id.

        Raises:
            UnknownIdError: no such scaffold.
            UsageError: not an agent id.
            PluginError: the plugin that brings it does not work.
        """
        agent_id = AgentId.parse(agent)
        return self._get("agent", self.scaffolds, agent_id.scaffold), agent_id

    def grader(self, id: str) -> "Grader":
        """A grader by id.

        Raises:
            UnknownIdError: no such id.
            PluginError: the plugin that brings it does not work.
        """
        grader: Grader = self._get("grader", self.graders, id)
        return grader

    def runner(self, id: str) -> "Runner":
        """A runner by id; raises as `grader`."""
        runner: Runner = self._get("runner", self.runners, id)
        return runner

    def engine(self, id: str) -> "Engine":
        """An engine by id; raises as `grader`."""
        engine: Engine = self._get("engine", self.engines, id)
        return engine

    def observer(self, id: str) -> "Observer":
        """An observer by id; raises as `grader`."""
        observer: Observer = self._get("observer", self.observers, id)
        return observer

    def audit(self, id: str) -> "Audit":
        """An audit by id; raises as `grader`."""
        audit: Audit = self._get("audit", self.audits, id)
        return audit

    def owner(self, kind: str, id: str) -> LoadedPlugin | None:
        """The plugin that registered an id of a kind ("competition", "agent", ...); None for core's own."""
        return self._owners.get((kind, id))

    def load_all(self) -> None:
        """Collect every kind, so that each plugin's record holds the errors that only show then."""
        for kind in ("competitions", "scaffolds", "graders", "runners", "engines", "observers", "audits"):
            getattr(self, kind)

    def _collect(self, kind: str, hook: str, protocol: type, own: Iterable[Any] = ()) -> dict[str, Any]:
        found: dict[str, Any] = {item.id: item for item in own}
        core_ids = set(found)
        for record, items in self.manager.collect(hook):
            for item in items:
                problem = _problem(item, kind, protocol)
                if problem is None and item.id in found:
                    owner = self._owners.get((kind, item.id))
                    by = "mleb-core" if item.id in core_ids or owner is None else owner.distribution
                    problem = f"{kind} {item.id!r} is registered by {by} already"
                if problem is not None:
                    record.error = record.error or problem
                    if isinstance(getattr(item, "id", None), str):
                        self._lost.setdefault((kind, item.id), record)
                    continue
                found[item.id] = item
                self._owners[kind, item.id] = record
        return dict(sorted(found.items()))

    def _get(self, kind: str, found: Mapping[str, Any], id: str) -> Any:
        if id in found:
            return found[id]
        if record := self._lost.get((kind, id)):
            raise PluginError(f"plugin {record.name} ({record.distribution} {record.version}): {record.error}")
        self.manager.check(id)
        raise UnknownIdError(kind, id, found)


def _listed_in(path: Path) -> list[str]:
    """The ids in a file, one a line, each once; what follows a # is a comment."""
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a list of competitions: {error}") from None
    ids = list(dict.fromkeys(line for line in lines if line))
    if not ids:
        raise UsageError(f"{path} lists no competition; expected an id a line")
    return ids


def _problem(item: Any, kind: str, protocol: type) -> str | None:
    """What keeps an object from being used as its kind; None if nothing does."""
    if not isinstance(getattr(item, "id", None), str) or not item.id:
        return f"a registered {kind} has no id: {item!r:.80}"
    if protocol is Competition:
        return None if isinstance(item, Competition) else f"{item!r:.80} is no mleb_core.Competition"
    missing = [name for name in _members(protocol) if not hasattr(item, name)]
    return f"{kind} {item.id!r} lacks {', '.join(missing)}" if missing else None


def _members(protocol: type) -> list[str]:
    """What a protocol asks for: its annotated attributes and its public methods."""
    return sorted({*protocol.__annotations__, *(name for name in vars(protocol) if not name.startswith("_"))})
