"""What a run uses over time: `resources.json`, ready for plots, and its summary.

    {
      "format_version": 1,
      "interval_s": 1.0,                                  about the time between two points
      "t_s": [1.0, 2.0, ...],                             seconds since the agent started: ends of the points' spans
      "cpu_cores": [0.9, ...], "memory_bytes": [...], "disk_bytes": [null, ...],
      "gpus": [{"id": "GPU-...", "name": "...", "utilization_percent": [...], "memory_bytes": [...], "power_w": [...]}],
      "summary": {...},                                   see `ResourceRecorder.summary`
      "state": {...}                                      for a harness that takes the run up
    }

Each point is the mean over the time since the point before it; null: not known. A series has at most 600 points: when
it is full, neighbours are joined, and points come half as often from then on.
"""

import contextlib
import functools
import json
import math
import os
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mleb_core.layout import RunLayout, write_whole
from mleb_core.runner.meters import Usage
from mleb_core.runner.nvml import Driver, GpuLoad, NvmlDriver

__all__ = ["ResourceRecorder", "read_resources"]

T = TypeVar("T")

_MOST_BYTES = 32 << 20
_FIRST_S, _LONGEST_S = 0.25, 10.0
_WRITE_S = 30.0
_SHARE = 0.02
"""The largest share of a core that sampling may take."""
_OF_RUN = ("cpu_cores", "memory_bytes", "disk_bytes")
_OF_GPU = ("utilization_percent", "memory_bytes", "power_w")
_WHOLE = frozenset({"memory_bytes", "disk_bytes"})

Key = tuple[str, str]
"""A column: id of the GPU, or "" for the run; and its name."""


class ResourceRecorder:
    """Records what one run uses. For one thread: call `sample` now and then, `close` at the end. Never raises."""

    def __init__(
        self,
        layout: RunLayout,
        read: Callable[[], Usage],
        *,
        gpus: Sequence[str] = (),
        driver: Driver | None = None,
        disk: Callable[[], int | None] | None = None,
        take_up: bool = False,
        points: int = 600,
    ) -> None:
        """Args:
        layout: the run's directory; `resources` is written there.
        read: what is used of processor and memory (`meters`).
        gpus: ids of the run's GPUs.
        driver: where to ask for their load; None: this machine's.
        disk: bytes on disk, if that is known.
        take_up: an earlier harness recorded the same run; go on where it stopped.
        points: length at which a series is halved; even.
        """
        self._path, self._read, self._disk, self._points = layout.resources, read, disk, points
        self._gpus = tuple(gpus)
        self._driver: Driver = driver or NvmlDriver()
        self._names = _names(self._driver, self._gpus)
        keys = [("", name) for name in _OF_RUN] + [(id, name) for id in self._gpus for name in _OF_GPU]
        self._times: list[float] = []
        self._series: dict[Key, list[float | None]] = {key: [] for key in keys}
        self._point: dict[Key, _Sum] = {key: _Sum() for key in keys}
        self._total: dict[Key, _Sum] = {key: _Sum() for key in keys}
        self._interval_s = _FIRST_S
        self._last_s = self._last_cpu_s = 0.0
        self._samples = 0
        self._unseen = take_up
        if take_up and (known := read_resources(layout)):
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # of another making
                self._resume(known)
        self._next_s = 0.0 if take_up else _FIRST_S
        self._next_write_s = _WRITE_S

    def sample(self, elapsed_s: float) -> None:
        """Look at everything, if it is time for that.

        Args:
            elapsed_s: seconds since the agent started, on the run's own clock.
        """
        if elapsed_s < self._next_s or elapsed_s <= self._last_s:
            return
        before = time.monotonic()
        usage = _safe(self._read) or Usage()
        values: dict[Key, float | None] = {
            ("", "cpu_cores"): self._cores(usage.cpu_s, elapsed_s),
            ("", "memory_bytes"): usage.memory_bytes,
            ("", "disk_bytes"): _safe(self._disk) if self._disk is not None else None,
        }
        for id in self._gpus:
            load = _safe(functools.partial(self._driver.load, id)) or GpuLoad()
            values |= {(id, name): getattr(load, name) for name in _OF_GPU}
        if self._unseen:
            # Nobody looked for a while. Of that time only the processor's counter can tell.
            values = {("", "cpu_cores"): values["", "cpu_cores"]}
        self._add(values, elapsed_s)
        if self._unseen or elapsed_s - self._point_from() >= self._interval_s:
            self._end_point()
        self._unseen = False
        interval_s = min(self._interval_s, _LONGEST_S)
        self._next_s = elapsed_s + max(interval_s, (time.monotonic() - before) / _SHARE)
        if elapsed_s >= self._next_write_s:
            self._next_write_s = elapsed_s + max(_WRITE_S, self._interval_s)
            with contextlib.suppress(OSError):  # the next one may succeed, and `close` tells
                self._write()

    def close(self, elapsed_s: float) -> str | None:
        """The run is over: write all that was recorded.

        Args:
            elapsed_s: seconds that the agent took.

        Returns:
            Why the file could not be written, in one line; None: it was.
        """
        if self._last_s > self._point_from():
            self._end_point()
        self._last_s = max(self._last_s, elapsed_s)
        try:
            self._write()
        except OSError as error:
            return f"{self._path}: {error.strerror or error}"
        return None

    def summary(self) -> dict[str, Any]:
        """The whole run in figures.

        elapsed_s: seconds since the start; samples: how often it was looked. cpu_s, cpu_cores_mean, cpu_cores_peak:
        processor. memory_bytes_mean, memory_bytes_peak, disk_bytes_peak: bytes. gpu_seconds: number of GPUs times
        elapsed_s, used or not. energy_j: joules that the GPUs drew while it was looked. gpus: for each `id`, `name`,
        utilization_percent_mean, utilization_percent_peak, memory_bytes_peak, power_w_mean, power_w_peak, energy_j.
        Means are over the time in which the value was known; null: never known.
        """
        cpu, memory, disk = (self._total["", name] for name in _OF_RUN)
        gpus = []
        for id in self._gpus:
            utilization, used, power = (self._total[id, name] for name in _OF_GPU)
            gpus.append(
                {
                    "id": id,
                    "name": self._names.get(id),
                    "utilization_percent_mean": _round(utilization.mean),
                    "utilization_percent_peak": _round(utilization.peak),
                    "memory_bytes_peak": _whole(used.peak),
                    "power_w_mean": _round(power.mean),
                    "power_w_peak": _round(power.peak),
                    "energy_j": _round(power.sum) if power.weight else None,
                }
            )
        powers = [power for id in self._gpus if (power := self._total[id, "power_w"]).weight]
        return {
            "elapsed_s": _round(self._last_s),
            "samples": self._samples,
            "cpu_s": _round(cpu.sum) if cpu.weight else None,
            "cpu_cores_mean": _round(cpu.mean),
            "cpu_cores_peak": _round(cpu.peak),
            "memory_bytes_mean": _whole(memory.mean),
            "memory_bytes_peak": _whole(memory.peak),
            "disk_bytes_peak": _whole(disk.peak),
            "gpu_seconds": _round(len(self._gpus) * self._last_s),
            "energy_j": _round(sum(power.sum for power in powers)) if powers else None,
            "gpus": gpus,
        }

    def _cores(self, cpu_s: float | None, elapsed_s: float) -> float | None:
        if cpu_s is None:
            return None
        used, self._last_cpu_s = max(0.0, cpu_s - self._last_cpu_s), cpu_s
        return used / (elapsed_s - self._last_s)

    def _point_from(self) -> float:
        return self._times[-1] if self._times else 0.0

    def _add(self, values: Mapping[Key, float | None], elapsed_s: float) -> None:
        span = elapsed_s - self._last_s
        for key, value in values.items():
            if value is not None and math.isfinite(value):
                self._point[key].add(value, span)
                self._total[key].add(value, span)
        self._last_s = elapsed_s
        self._samples += 1

    def _end_point(self) -> None:
        self._times.append(self._last_s)
        for key, series in self._series.items():
            series.append(self._point[key].mean)
            self._point[key] = _Sum()
        if len(self._times) >= self._points:
            spans = [end - start for start, end in zip([0.0, *self._times], self._times, strict=False)]
            self._series = {key: _halved(series, spans) for key, series in self._series.items()}
            self._times = self._times[1::2]
            self._interval_s *= 2

    def _resume(self, known: Mapping[str, Any]) -> None:
        """Take over what another harness wrote; raises where it is not of this run's making."""
        if [gpu["id"] for gpu in known["gpus"]] != list(self._gpus):
            raise ValueError("other GPUs")
        columns = {"": known} | {gpu["id"]: gpu for gpu in known["gpus"]}
        times = [float(t) for t in known["t_s"]]
        series = {(id, name): [_number(v) for v in columns[id][name]] for id, name in self._series}
        state = known["state"]
        total = {(id, name): _Sum(*map(float, state["sums"][f"{id} {name}"])) for id, name in self._total}
        last_s, last_cpu_s = float(state["last_s"]), float(state["last_cpu_s"])
        samples, interval_s = int(known["summary"]["samples"]), float(known["interval_s"])
        if any(len(column) != len(times) for column in series.values()) or times != sorted(times):
            raise ValueError("columns do not fit")
        last_s = max([last_s, *times[-1:]])  # the times are rounded
        self._times, self._series, self._total, self._interval_s = times, series, total, interval_s
        self._last_s, self._last_cpu_s, self._samples = last_s, last_cpu_s, samples

    def _write(self) -> None:
        columns = {key: [_shown(key, value) for value in series] for key, series in self._series.items()}
        times = [_round(t) for t in self._times]
        document: dict[str, Any] = {
            "format_version": 1,
            "interval_s": self._interval_s,
            "t_s": times,
            **{name: columns["", name] for name in _OF_RUN},
            "gpus": [
                {"id": id, "name": self._names.get(id), **{name: columns[id, name] for name in _OF_GPU}}
                for id in self._gpus
            ],
            "summary": self.summary(),
            "state": {
                "last_s": self._last_s,
                "last_cpu_s": self._last_cpu_s,
                "sums": {f"{id} {name}": total.record for (id, name), total in self._total.items()},
            },
        }
        # A line for each key: a series of hundreds of numbers is not for reading.
        lines = [f"  {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in document.items()]
        write_whole(self._path, "{\n" + ",\n".join(lines) + "\n}\n", durable=False)


def read_resources(layout: RunLayout) -> dict[str, Any] | None:
    """What was recorded of a run; None: nothing, or the file is no such record. It is not checked further."""
    try:
        fd = os.open(layout.resources, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        try:
            found = json.loads(stream.read(_MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) and found.get("format_version") == 1 else None


class _Sum:
    """Sum of values times the seconds for which they stood."""

    def __init__(self, sum: float = 0.0, weight: float = 0.0, peak: float = -math.inf) -> None:
        self.sum, self.weight, self._peak = sum, weight, peak

    def add(self, value: float, seconds: float) -> None:
        self.sum += value * seconds
        self.weight += seconds
        self._peak = max(self._peak, value)

    @property
    def mean(self) -> float | None:
        return self.sum / self.weight if self.weight else None

    @property
    def peak(self) -> float | None:
        return self._peak if self.weight else None

    @property
    def record(self) -> list[float]:
        return [self.sum, self.weight, self._peak] if self.weight else []


def _halved(series: Sequence[float | None], spans: Sequence[float]) -> list[float | None]:
    """Neighbours joined, each weighing as long as it stands for; an even number of them."""
    joined: list[float | None] = []
    for index in range(0, len(series), 2):
        both = _Sum()
        for value, span in zip(series[index : index + 2], spans[index : index + 2], strict=True):
            if value is not None:
                both.add(value, span)
        joined.append(both.mean)
    return joined


def _names(driver: Driver, ids: Sequence[str]) -> dict[str, str]:
    found = _safe(driver.devices) if ids else None
    return {gpu.id: gpu.name for gpu in found or ()}


def _safe(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except Exception:  # of a sensor, whatever it is: the run must not suffer
        return None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _shown(key: Key, value: float | None) -> float | int | None:
    return _whole(value) if key[1] in _WHOLE else _round(value)
