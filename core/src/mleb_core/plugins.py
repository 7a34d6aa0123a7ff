"""Discovery of plugins over the entry-point group `mleb`.

One broken plugin never stops the rest: each plugin that is found has a record, with its error if it has one.
pluggy's own `load_setuptools_entrypoints` stops at the first failing import and skips, without a word, a
second distribution that uses the same entry-point name; so entry points are gone through here. They are read
from the `*.dist-info` directories of `sys.path` as the packaging standards lay them out: importlib.metadata, which
does the same, takes longer to import than all the rest of `mleb list` takes, and helps only with what lies in archives.
"""

import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from mleb_core import hookspecs
from mleb_core.errors import PluginError

__all__ = ["OBSERVER_S", "LoadedPlugin", "PluginManager", "load_plugins"]

OBSERVER_S = 30.0
"""Seconds that an observing hook of a plugin may hold up a run."""


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
        self._stuck: set[str] = set()

    @property
    def hook(self) -> Any:
        """Pluggy's hook relay."""
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

    def observe(self, hook: str, *, within_s: float | None = None, **arguments: Any) -> list[str]:
        """Call an observer hook on each plugin by itself.

        Args:
            hook: its name.
            within_s: seconds that each may take; one that takes longer is left to itself, in a thread that does not
                outlive the process, and not called again. None: as long as it likes, in the caller's thread.
            arguments: the hook's.

        Returns:
            One line for each observer that raised or took too long.
        """
        failures = []
        for implementation in getattr(self.hook, hook).get_hookimpls():
            plugin, call = str(implementation.plugin_name), implementation.function
            values = [arguments[name] for name in implementation.argnames]
            if plugin in self._stuck:
                continue
            try:
                if within_s is None:
                    call(*values)
                elif not _within(within_s, call, values):
                    self._stuck.add(plugin)
                    failures.append(f"plugin {plugin}: {hook} took longer than {within_s:g} s and is not called again")
            except Exception as error:
                failures.append(f"plugin {plugin}: {hook} failed: {_one_line(error)}")
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

    def load(self, name: str, target: str, *, distribution: str, version: str) -> LoadedPlugin:
        """Import one entry point, `module` or `module:object`, and add it. Never raises: see the record."""
        record = LoadedPlugin(name, distribution, version, target)
        try:
            plugin = _imported(target)
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
    for record in _entry_points():
        if wanted is None or record.name in wanted:
            manager.load(record.name, record.target, distribution=record.distribution, version=record.version)
    return manager


def _imported(target: str) -> Any:
    """The module, or the object in it, that an entry point names; extras behind it are of no interest here."""
    module, _, attributes = target.partition("[")[0].strip().partition(":")
    found: Any = import_module(module.strip())
    for attribute in filter(None, attributes.strip().split(".")):
        found = getattr(found, attribute)
    return found


def _entry_points() -> list[LoadedPlugin]:
    """Records of all entry points of the group, by distribution and name; nothing is imported yet.

    A distribution that stands twice on the path (an editable install beside a wheel) counts once: the first.
    """
    found: list[LoadedPlugin] = []
    seen: set[str] = set()
    for folder in _metadata_folders():
        try:
            with (folder / "entry_points.txt").open(encoding="utf-8") as stream:
                entries = list(_entries(stream))
        except (OSError, UnicodeDecodeError):
            continue
        if not entries:
            continue
        name, version = _name_and_version(folder)
        if name.lower() not in seen:
            seen.add(name.lower())
            found += [LoadedPlugin(entry, name, version, target) for entry, target in entries]
    return sorted(found, key=lambda record: (record.distribution.lower(), record.name))


def _metadata_folders() -> Iterator[Path]:
    """The metadata directories of all distributions on `sys.path`, in its order."""
    for place in sys.path:
        try:
            names = sorted(os.listdir(place or "."))  # noqa: PTH208  half the time
        except OSError:
            continue  # an archive, or not there
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                yield Path(place, name)


def _entries(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, target) of our group in the lines of an entry_points.txt."""
    ours = False
    for line in map(str.strip, lines):
        if line.startswith("["):
            ours = line == f"[{hookspecs.PROJECT}]"
        elif ours and "=" in line and not line.startswith(("#", ";")):
            name, _, target = line.partition("=")
            yield name.strip(), target.strip()


def _name_and_version(folder: Path) -> tuple[str, str]:
    """Name and version of a distribution, as its metadata says."""
    fields = {"Name": "?", "Version": "?"}
    for file in ("METADATA", "PKG-INFO"):
        try:
            with (folder / file).open(encoding="utf-8", errors="replace") as stream:
                for line in stream:
                    if not line.strip():
                        break  # the description follows
                    key, colon, value = line.partition(":")
                    if colon and fields.get(key) == "?":
                        fields[key] = value.strip()
        except OSError:
            continue
    return fields["Name"], fields["Version"]


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


def _within(seconds: float, call: Callable[..., Any], values: list[Any]) -> bool:
    """Call in another thread; whether it came to an end in time. Raises what it raised, SystemExit as an error."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call(*values)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not raised:
        return not thread.is_alive()
    raise raised[0] if isinstance(raised[0], Exception) else RuntimeError(_one_line(raised[0])) from raised[0]


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
