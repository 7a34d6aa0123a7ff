"""All runs below a directory, kept up to date by the inode, time and size of their files: only what changed is read."""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mleb.view.cells import Cell, as_left, cell_of
from mleb.view.files import FileProblem, inner, open_folder, read_at, stamp
from mleb_core.errors import RunGroupError
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.report.collect import is_at_work
from mleb_core.report.load import parse_model
from mleb_core.run import RunGroup

__all__ = ["GroupIndex", "Index", "Key"]

_MOST_GROUP = 32 << 20
_MOST_RUN = 4 << 20
_REST_S, _LONGEST_S = 0.5, 4.0
_SHARE = 0.05
"""The share of a core that looking again may take while pages ask all the time."""


@dataclass(frozen=True, slots=True)
class Key:
    """Which run: positions in the group's lists."""

    competition: str
    agent: str
    seed: int


class GroupIndex:
    """The runs of one group. Safe to use from many threads."""

    def __init__(self, directory: Path, name: str) -> None:
        """Args:
        directory: of the group.
        name: of the directory, as addresses have it.
        """
        self.directory, self.name = directory, name
        self.layout = GroupLayout(directory)
        self.group: RunGroup | None = None
        """What was asked for; None where group.json cannot be read."""
        self.problem: str | None = None
        """Why it cannot, in one line."""
        self.at_work = False
        """Whether a harness is at work on it."""
        self.version = 0
        """Another one after each change."""
        self.others: tuple[str, ...] = ()
        """Directories in it that it did not ask for."""
        self.audited = 0
        """Another one when there are other findings of audits."""
        self._cells: list[Cell | None] = []
        self._stamps: list[tuple[int, ...]] = []
        self._group_stamp = -1
        self._lock = threading.Lock()
        self._next = 0.0

    def refresh(self, *, now: bool = False) -> None:
        """Look at what changed, unless that was done a moment ago.

        Args:
            now: also then.
        """
        with self._lock:
            start = time.monotonic()
            if now or start >= self._next:
                self._scan()
                end = time.monotonic()
                self._next = end + min(_LONGEST_S, max(_REST_S, (end - start) / _SHARE))

    def cells(self) -> list[Cell | None]:
        """Of each run asked for: competitions outermost, then agents, then seeds; None: nothing of it is there."""
        cells = self._cells
        return cells if self.at_work else [cell and as_left(cell) for cell in cells]

    def each(self) -> Iterator[Key]:
        """The runs asked for, in the same order."""
        if self.group is not None:
            for competition in self.group.competitions:
                for agent in self.group.agents:
                    for seed in range(self.group.seeds):
                        yield Key(competition, agent, seed)

    def agent_folder(self, agent: str) -> str:
        """The name of an agent's directories."""
        return self.layout.run("x", agent, 0).root.parent.name

    def find(self, competition: str, folder: str, seed: str) -> tuple[Key, RunLayout] | None:
        """The run that an address names, if it was asked for."""
        if self.group is None or competition not in self.group.competitions or not seed.isascii():
            return None
        if not (seed.isdigit() and str(int(seed[:9])) == seed and int(seed) < self.group.seeds):
            return None
        for agent in self.group.agents:
            if self.agent_folder(agent) == folder:
                return Key(competition, agent, int(seed)), self.layout.run(competition, agent, int(seed))
        return None

    def cell(self, key: Key) -> Cell | None:
        """One run."""
        assert self.group is not None
        number = self.group.competitions.index(key.competition) * len(self.group.agents)
        cell = self._cells[(number + self.group.agents.index(key.agent)) * self.group.seeds + key.seed]
        return cell if cell is None or self.at_work else as_left(cell)

    def _scan(self) -> None:
        changed = self._read_group()
        if self.group is None:
            self.version += changed
            return
        at_work = is_at_work(self.directory)
        changed |= at_work != self.at_work
        self.at_work = at_work
        try:
            top = open_folder(self.directory, ())
        except FileProblem as problem:
            self.group, self.problem, self._group_stamp = None, str(problem), -1
            self.version += 1
            return
        try:
            changed |= self._scan_runs(top, self.group)
            audited = stamp(top, self.layout.audit("x").parent.name)
            changed |= audited != self.audited
            self.audited = audited
            with os.scandir(top) as entries:
                own = (self.layout.audit("x"), self.layout.observer("x"))
                asked = {*self.group.competitions, *(path.parent.name for path in own)}
                names = (e.name for e in entries if e.name not in asked and not e.name.startswith("."))
                folders = [name for name in names if os.path.isdir(self.directory / name)]  # noqa: PTH112
            others = tuple(sorted(folders))
            changed |= others != self.others
            self.others = others
        finally:
            os.close(top)
        self.version += changed

    def _read_group(self) -> bool:
        """Read group.json if it changed; whether it did."""
        name = self.layout.group.name
        try:
            folder = open_folder(self.directory, ())
        except FileProblem as problem:
            changed = self.problem != str(problem)
            self.group, self.problem, self._group_stamp = None, str(problem), -1
            return changed
        try:
            found = stamp(folder, name)
            if found == self._group_stamp:
                return False
            self._group_stamp = found
            content = read_at(folder, name, _MOST_GROUP)
            if content is None:
                raise RunGroupError(
                    f"it is no run group: it has no {name}" if not found else f"{name} is no plain file"
                )
            self.group = parse_model(Path(name), content, RunGroup, "a run group's configuration")
            self.problem = None
        except RunGroupError as error:
            self.group, self.problem = None, str(error)
        except OSError as error:
            self.group, self.problem = None, f"{name} cannot be read: {error.strerror or error}"
        finally:
            os.close(folder)
        group = self.group
        count = len(group.competitions) * len(group.agents) * group.seeds if group else 0
        self._cells, self._stamps = [None] * count, [(0, 0, 0)] * count
        return True

    def _scan_runs(self, top: int, group: RunGroup) -> bool:
        changed, number = False, 0
        for competition in group.competitions:
            for agent in group.agents:
                place = self.layout.run(competition, agent, 0)
                names = inner(self.directory, place.root)[:-1]
                changed |= self._scan_seeds(top, names, (competition, agent), number, place)
                number += group.seeds
        return changed

    def _scan_seeds(
        self, top: int, names: tuple[str, ...], pair: tuple[str, str], first: int, place: RunLayout
    ) -> bool:
        assert self.group is not None
        changed = False
        run, report = place.run.name, place.report.name
        # Medals over time rest on the last one, which may come at any later time.
        watched = (run, report, place.snapshot_scores.name)
        folder = _descend(top, names)
        for seed in range(self.group.seeds):
            number = first + seed
            here = None if folder is None else _descend(folder, (str(seed),))
            stamps = (0, 0, 0) if here is None else tuple(stamp(here, name) for name in watched)
            if stamps != self._stamps[number]:
                changed = True
                self._stamps[number] = stamps
                self._cells[number] = None if here is None else _cell(here, (*pair, seed), run, report)
            if here is not None:
                os.close(here)
        if folder is not None:
            os.close(folder)
        return changed


class Index:
    """The groups of a directory, or the one group that the directory is. Safe to use from many threads."""

    def __init__(self, root: Path) -> None:
        """Args:
        root: a directory of run groups, or a run group's.
        """
        self.root = root
        self.problem: str | None = None
        """Why the directory cannot be read."""
        self._groups: dict[str, GroupIndex] = {}
        self._lock = threading.Lock()

    def groups(self) -> list[GroupIndex]:
        """The directories that are groups or might be, newest name first; not refreshed."""
        with self._lock:
            self._find()
            return sorted(self._groups.values(), key=lambda group: group.name, reverse=True)

    def group(self, name: str) -> GroupIndex | None:
        """A group by the name of its directory; not refreshed."""
        with self._lock:
            if name not in self._groups:
                self._find()
            return self._groups.get(name)

    def _find(self) -> None:
        self.problem = None
        try:
            if GroupLayout(self.root).group.exists():
                found = {self.root.resolve().name or "group": self.root}
            else:
                with os.scandir(self.root) as entries:
                    names = [
                        e.name for e in entries if e.is_dir() and not e.name.startswith(".") and _speakable(e.name)
                    ]
                found = {name: self.root / name for name in names}
        except OSError as error:
            self.problem = f"{self.root}: {error.strerror or error}"
            found = {}
        self._groups = {name: self._groups.get(name) or GroupIndex(path, name) for name, path in found.items()}


def _speakable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 stand in no address
        return False
    return True


def _descend(folder: int, names: tuple[str, ...]) -> int | None:
    """Open a directory below another, through no link; None where there is none."""
    opened = None
    for name in names:
        start = folder if opened is None else opened
        try:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=start)
        except OSError:
            below = None
        if opened is not None:
            os.close(opened)
        if below is None:
            return None
        opened = below
    return opened


def _cell(folder: int, key: tuple[str, str, int], run: str, report: str) -> Cell | None:
    try:
        return cell_of(key, read_at(folder, run, _MOST_RUN), read_at(folder, report, _MOST_RUN))
    except OSError as error:
        return Cell("d", "", note=f"a file of it cannot be read: {error.strerror or error}")
