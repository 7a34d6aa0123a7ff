"""Leases of GPUs: a run's devices are its own, among the runs of all harnesses on this machine.

A lease is a lock by device id (`host_locks`). Who asks first is served first, here and between harnesses: a later ask
never takes what an earlier one waits for, so an ask for several GPUs gets them, and holds none while it waits.
"""

import contextlib
import getpass
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mleb_core.errors import RunnerError, SandboxError
from mleb_core.run import now
from mleb_core.runner.host_locks import LockDirectory, Ticket, shared_place
from mleb_core.runner.nvml import Driver, Gpu, GpuLoad, NvmlDriver, find_gpus, visible

__all__ = ["Driver", "Gpu", "GpuLoad", "GpuPool", "NvmlDriver", "find_gpus", "visible"]

_SHORTEST_S, _LONGEST_S = 0.02, 1.0
_STOP_S = 0.25
_TAKE_UP_S = 30.0


class GpuPool:
    """The GPUs that runs of this process may have. Thread-safe; nothing is asked of the driver before it is needed."""

    def __init__(
        self,
        driver: Driver | None = None,
        *,
        busy: Callable[[], Collection[str]] | None = None,
        environ: Mapping[str, str] | None = None,
        locks: Path | None = None,
    ) -> None:
        """Args:
        driver: where GPUs are asked for; None: this machine's.
        busy: ids of devices that nobody leases and that are in use all the same, by containers whose harness died.
            Asked each time that GPUs are about to be leased. What it raises, `lease` raises.
        environ: holds CUDA_VISIBLE_DEVICES, if it is set; None: this process's.
        locks: directory of the locks, the same for all harnesses that must not share a GPU; None: the machine's.
        """
        self.driver: Driver = driver or NvmlDriver()
        """For sensors too."""
        self._busy = busy
        self._environ = os.environ if environ is None else environ
        self._locks = locks or shared_place("mleb-gpus")
        self._changed = threading.Condition()
        self._queue: list[object] = []
        self._found: list[Gpu] | None = None

    def gpus(self) -> list[Gpu]:
        """The devices that may be leased; found once.

        Raises:
            RunnerError: the driver is there and does not answer.
        """
        with self._changed:
            if self._found is None:
                self._found = find_gpus(self.driver, self._environ)
            return self._found

    def check(self, wanted: int) -> None:
        """Before anything starts: can a run have so many GPUs? Whether they are free now is another matter.

        Raises:
            RunnerError: there are not so many, or they cannot be leased; one line that says what to do.
        """
        if wanted <= 0:
            return
        here = len(self.gpus())
        if wanted > here:
            asked = "1 GPU is asked for" if wanted == 1 else f"{wanted} GPUs are asked for"
            raise RunnerError(f"{asked}, {self._what_is_here(here)}")
        with LockDirectory(self._locks):
            pass

    def named(self, names: Sequence[str], wanted: int) -> tuple[str, ...]:
        """The ids of GPUs that somebody else gave to a run.

        Args:
            names: as CUDA_VISIBLE_DEVICES takes them.
            wanted: how many the run is to have.

        Raises:
            RunnerError: they are not here, or fewer.
        """
        found = find_gpus(self.driver, {"CUDA_VISIBLE_DEVICES": ",".join(names)}) if names else []
        if len(found) != wanted:
            here = len(self.driver.devices())
            given = ", ".join(names) or "none"
            why = f"; {self.driver.absence}" if not here and self.driver.absence else ""
            raise RunnerError(f"{wanted} GPUs are asked for, the engine gave: {given}; of {here} on this machine{why}")
        return tuple(gpu.id for gpu in found)

    def holders(self) -> dict[str, dict[str, Any]]:
        """Who has leased what: `pid`, `user`, `since`, `note`, as the holder wrote them, by device id.

        Raises:
            RunnerError: as `gpus` and `check`.
        """
        if not self._locks.exists():  # who only looks makes nothing
            return {}
        with LockDirectory(self._locks) as place:
            found = {gpu.id: place.holder(gpu.id) for gpu in self.gpus()}
        return {id: note for id, note in found.items() if note is not None}

    @contextlib.contextmanager
    def lease(
        self, wanted: int = 0, *, ids: Sequence[str] = (), stop: Any = None, note: str = ""
    ) -> Iterator[tuple[str, ...]]:
        """Have GPUs for oneself as long as the context lasts; waits until there are so many.

        Args:
            wanted: how many; 0: none.
            ids: instead, exactly these, since a run that goes on has them already (`Job.take_up`). They may be busy,
                and stand in no queue.
            stop: something with `is_set()`, such as a `Stop`: ends the waiting.
            note: what for, for `mleb doctor`.

        Returns:
            The ids, for `Job.gpus`. None of them if `stop` was set before there were enough; a runner that is called
            then ends the run at once, since it looks at `stop` first.

        Raises:
            RunnerError: as `check`.
            SandboxError: another harness holds one of `ids` and does not give it back.
        """
        with contextlib.ExitStack() as stack:
            if not ids and wanted <= 0:
                yield ()
                return
            if not ids:
                self.check(wanted)
            place = stack.enter_context(LockDirectory(self._locks))
            held: dict[str, int] = {}
            stack.callback(self._give_back, place, held)
            stopped = stop.is_set if stop is not None else lambda: False
            if ids:
                self._take_up(place, held, ids, stopped)
            else:
                self._wait(place, held, wanted, stopped)
            about = {"pid": os.getpid(), "user": _user(), "since": now(), "note": note}
            for fd in held.values():
                place.write_note(fd, about)
            yield tuple(held)

    def _wait(self, place: LockDirectory, held: dict[str, int], wanted: int, stopped: Callable[[], bool]) -> None:
        """Take so many GPUs, in turn."""
        me, pause, ticket = object(), _SHORTEST_S, None
        with self._changed:
            self._queue.append(me)
        try:
            while not stopped():
                if self._queue[0] is me:
                    # One ticket for a harness at a time: harnesses take turns, however many runs they have.
                    ticket = ticket or Ticket(place, [gpu.id for gpu in self.gpus()])
                    if self._take(place, held, wanted, ticket):
                        return
                    pause = min(pause * 2, _LONGEST_S)
                with self._changed:
                    self._changed.wait(min(pause, _STOP_S) if self._queue[0] is me else _STOP_S)
        finally:
            if ticket is not None:
                ticket.close()
            with self._changed:
                self._queue.remove(me)
                self._changed.notify_all()

    def _take(self, place: LockDirectory, held: dict[str, int], wanted: int, ticket: Ticket) -> bool:
        """Take so many GPUs if they are there, else none."""
        others = ticket.wanted_before()
        taken: dict[str, int] = {}
        try:
            for gpu in self.gpus():
                if gpu.id not in others and (fd := place.lock(gpu.id)) is not None:
                    taken[gpu.id] = fd
            if len(taken) >= wanted:
                # Asked when the locks are ours: a harness that dies now cannot start a container there any more.
                busy = set(self._busy()) if self._busy is not None else set()
                free = [id for id in taken if id not in busy]
                if len(free) >= wanted:
                    held.update((id, taken.pop(id)) for id in free[:wanted])
            return bool(held)
        finally:
            for fd in taken.values():
                place.release(fd)

    def _take_up(
        self, place: LockDirectory, held: dict[str, int], ids: Sequence[str], stopped: Callable[[], bool]
    ) -> None:
        """Take exactly these GPUs, which nobody but a harness that looks for free ones holds for long."""
        end = time.monotonic() + _TAKE_UP_S
        for id in dict.fromkeys(ids):
            while (fd := place.lock(id)) is None:
                if stopped():
                    self._give_back(place, held)
                    return
                if time.monotonic() > end:
                    raise SandboxError(
                        f"GPU {id} of a run that goes on is leased by another harness; see `mleb doctor`"
                    )
                time.sleep(_SHORTEST_S)
            held[id] = fd

    def _give_back(self, place: LockDirectory, held: dict[str, int]) -> None:
        while held:
            place.release(held.popitem()[1])
        with self._changed:
            self._changed.notify_all()

    def _what_is_here(self, here: int) -> str:
        setting = self._environ.get("CUDA_VISIBLE_DEVICES")
        if setting is not None and (machine := len(self.driver.devices())) > here:
            return f"CUDA_VISIBLE_DEVICES={setting!r} leaves {here} of {machine}; unset it, or ask for fewer"
        if here:
            return f"{here} {'is' if here == 1 else 'are'} here; ask for fewer with --gpus"
        return f"none is here: {self.driver.absence or 'the driver knows none'}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())
