"""Discovery of plugins over the entry-point group `mleb`.

One broken plugin never stops the rest: each plugin that is found has a record, with its error if it has one.
pluggy's own `load_setuptools_entrypoints` stops at the first failing import and skips, without a word, a
second distribution that uses the same entry-point name; so entry points are gone through here.
"""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from types import ModuleType
from typing import Any

import pluggy

from mleb_core import hookspecs
from mleb_core.errors import PluginError

__all__ = ["LoadedPlugin", "PluginManager", "load_plugins"]


@dataclass
class LoadedPlugin:
    """A plugin that was found, whether it works or not."""

    name: str
    """Entry-point name."""
    distribution: str
    """Distribution that brings it."""
    version: str
    """Version of the distribution."""
    target: str
    """What the entry point names, `module` or `module:object`."""
    hooks: tuple[str, ...] = ()
    """Hooks that it implements."""
    error: str | None = None
    """One line: why it cannot be used; None when it can."""


class PluginManager:
    """Holds the plugins that were found and calls their hooks. Built by `load_plugins`; no global state."""

    def __init__(self) -> None:
        self.pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self.pluggy.add_hookspecs(hookspecs)
        self.plugins: list[LoadedPlugin] = []
        self._objects: dict[int, Any] = {}

    @property
    def hook(self) -> Any:
        """pluggy's hook relay."""
        return self.pluggy.hook

    def register(self, plugin: Any, name: str, *, distribution: str = "", version: str = "") -> LoadedPlugin:
        """Add a plugin by hand: a module or an object with hook functions. Never raises: see the record."""
        target = getattr(plugin, "__name__", type(plugin).__name__)
        record = LoadedPlugin(name, distribution or target, version, target)
        self._add(record, plugin)
        return record

    def collect(self, hook: str) -> list[tuple[LoadedPlugin, list[Any]]]:
        """Call a register hook on each working plugin by itself; what fails is kept with its plugin.

        Returns:
            (plugin, what it registered) by distribution and name.
        """
        collected = []
        for record in sorted(self.plugins, key=lambda record: (record.distribution, record.name)):
            if record.error is not None or hook not in record.hooks:
                continue
            function = getattr(self._objects[id(record)], hook)
            try:
                collected.append((record, list(function())))
            except Exception as error:
                record.error = f"{hook} failed: {_one_line(error)}"
        return collected

    def observe(self, hook: str, **arguments: Any) -> list[str]:
        """Call an observer hook on each plugin by itself.

        Returns:
            One line for each observer that raised.
        """
        failures = []
        for implementation in getattr(self.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception as error:
                failures.append(f"plugin {implementation.plugin_name}: {hook} failed: {_one_line(error)}")
        return failures

    def check(self, name: str) -> None:
        """Raise the error of a plugin that does not work.

        Args:
            name: entry-point or distribution name.

        Raises:
            PluginError: the plugin was found and has an error.
        """
        for record in self.plugins:
            if record.error is not None and name in (record.name, record.distribution):
                raise PluginError(f"plugin {record.name} ({record.distribution} {record.version}): {record.error}")

    def load(self, entry_point: EntryPoint, distribution: Distribution) -> LoadedPlugin:
        """Import one entry point and add it. Never raises: see the record."""
        record = LoadedPlugin(
            entry_point.name,
            distribution.metadata["Name"] or "?",
            distribution.version or "?",
            entry_point.value,
        )
        try:
            plugin = entry_point.load()
        except (Exception, SystemExit) as error:
            record.error = f"cannot be imported: {_one_line(error)}"
            self.plugins.append(record)
        else:
            self._add(record, plugin)
        return record

    def _add(self, record: LoadedPlugin, plugin: Any) -> None:
        self.plugins.append(record)
        twin = self.pluggy.get_plugin(record.name)
        if twin is not None:
            other = next(p for p in self.plugins if p.name == record.name)
            record.error = f"the name {record.name!r} is taken by {other.distribution} {other.version}"
            return
        if self.pluggy.is_registered(plugin):
            record.error = f"{record.target} is registered already under another name"
            return
        unmarked = _unmarked_hooks(plugin)
        if unmarked:
            record.error = f"{unmarked[0]} is not marked with @mleb_core.hookimpl"
            return
        try:
            self.pluggy.register(plugin, record.name)
            self._refuse_unknown_hooks(plugin)
        except Exception as error:
            record.error = _one_line(error)
            if self.pluggy.is_registered(plugin):
                self.pluggy.unregister(plugin)
            return
        callers = self.pluggy.get_hookcallers(plugin) or []
        record.hooks = tuple(sorted(caller.name for caller in callers))
        if not record.hooks:
            record.error = f"{record.target} implements no hook; see docs/hooks.md"
            self.pluggy.unregister(plugin)
            return
        self._objects[id(record)] = plugin

    def _refuse_unknown_hooks(self, plugin: Any) -> None:
        for caller in self.pluggy.get_hookcallers(plugin) or []:
            if not caller.has_spec():
                known = [name for name in dir(hookspecs) if name.startswith("mleb_")]
                raise PluginError(f"there is no hook {caller.name}; known: {', '.join(known)}")


def load_plugins(*, only: Iterable[str] | None = None) -> PluginManager:
    """Find and import all plugins of this environment.

    Args:
        only: entry-point names to load; None: all. An empty list gives a manager without plugins.
    """
    manager = PluginManager()
    wanted = None if only is None else set(only)
    for distribution, entry_point in _entry_points():
        if wanted is None or entry_point.name in wanted:
            manager.load(entry_point, distribution)
    return manager


def _entry_points() -> list[tuple[Distribution, EntryPoint]]:
    """All entry points of the group, by distribution and name.

    A distribution that stands twice on the path (an editable install beside a wheel) counts once: the first.
    """
    found: list[tuple[str, Distribution, EntryPoint]] = []
    seen: set[str] = set()
    for distribution in distributions():
        # Reading the file first is cheaper by far than parsing the metadata of every distribution.
        text = distribution.read_text("entry_points.txt")
        if not text or f"[{hookspecs.PROJECT}]" not in text:
            continue
        name = (distribution.metadata["Name"] or "").lower()
        if name in seen:
            continue
        seen.add(name)
        found += [(name, distribution, e) for e in distribution.entry_points if e.group == hookspecs.PROJECT]
    found.sort(key=lambda item: (item[0], item[2].name))
    return [(distribution, entry_point) for _, distribution, entry_point in found]


def _unmarked_hooks(plugin: Any) -> list[str]:
    """Functions that are named like a hook but lack the marker; pluggy would pass them over in silence."""
    marker = f"{hookspecs.PROJECT}_impl"
    return [
        name
        for name in dir(plugin)
        if name.startswith("mleb_")
        and not isinstance(member := inspect.getattr_static(plugin, name), ModuleType)
        and callable(getattr(plugin, name))
        and getattr(getattr(plugin, name), marker, None) is None
        and member is not None
    ]


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
