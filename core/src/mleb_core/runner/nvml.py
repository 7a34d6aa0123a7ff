"""The GPUs of this machine and what they do, from NVIDIA's management library (NVML).

The Python package nvidia-ml-py (extra `gpus`) is imported when it is first needed. Without it, or without a driver,
there are no GPUs; only a driver that is there and does not answer is an error.
"""

import contextlib
import importlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mleb_core.errors import RunnerError

__all__ = ["Driver", "Gpu", "GpuLoad", "NvmlDriver", "find_gpus", "visible"]


@dataclass(frozen=True)
class Gpu:
    """A device that a run can have for itself: a whole GPU, or one part of a GPU that is divided (MIG)."""

    id: str
    """NVML's UUID: `GPU-...`, or `MIG-...` for a part. Docker and CUDA_VISIBLE_DEVICES understand it."""
    index: int
    """Place of the GPU in the order of `nvidia-smi`, from 0; parts have that of their GPU."""
    name: str
    """Product name."""
    memory_bytes: int | None
    """All of its memory; None where the driver does not tell."""
    parent: str | None = None
    """For a part: id of the GPU that it is cut from."""


@dataclass(frozen=True)
class GpuLoad:
    """What a device does at one instant. None: the device, or the driver, does not tell."""

    utilization_percent: float | None = None
    """Share of the last moments (up to a second) during which something was computed, 0 to 100."""
    memory_bytes: int | None = None
    """Memory in use."""
    power_w: float | None = None
    """Power drawn by the whole board, in watts. Parts have none of their own."""


class Driver(Protocol):
    """Where GPUs are asked for. Thread-safe."""

    @property
    def absence(self) -> str | None:
        """Why there can be no GPUs here and what to do about it, in one line; None where a driver answers."""
        ...

    def devices(self) -> list[Gpu]:
        """All devices in `nvidia-smi`'s order. A GPU that is divided is there as its parts, and not itself.

        Raises:
            RunnerError: the driver is there and does not answer.
        """
        ...

    def load(self, id: str) -> GpuLoad:
        """What the device of that id does now; never raises, what fails is None."""
        ...


class NvmlDriver:
    """The machine's own driver."""

    def __init__(self, library: Any = None) -> None:
        """Args:
        library: module with the functions of pynvml; None: pynvml itself, if it is installed.
        """
        self._given = library
        self._library: Any = None
        self._absence: str | None = None
        self._asked = False
        self._lock = threading.Lock()
        self._handles: dict[str, Any] = {}
        self.faults: list[str] = []
        """GPUs that the driver counts and that do not answer, one line each, as `devices` last found them."""

    @property
    def absence(self) -> str | None:
        """See `Driver.absence`."""
        self._start()
        return self._absence

    def devices(self) -> list[Gpu]:
        """See `Driver.devices`."""
        library = self._start()
        self.faults = []
        if library is None:
            return []
        found: list[Gpu] = []
        try:
            count = library.nvmlDeviceGetCount()
        except library.NVMLError as error:
            raise _silent(error) from None
        for index in range(count):
            try:
                handle = library.nvmlDeviceGetHandleByIndex(index)
                whole = self._gpu(library, handle, index)
                parts = [self._gpu(library, part, index, whole.id) for part in _parts(library, handle)]
            except library.NVMLError as error:
                # One that fell off the bus must not cost the others.
                self.faults.append(f"GPU {index} does not answer ({error}); see `nvidia-smi` and the kernel's log")
                continue
            found += parts if _is_divided(library, handle) else [whole]
        return found

    def load(self, id: str) -> GpuLoad:
        """See `Driver.load`."""
        try:
            library = self._start()
        except RunnerError:
            return GpuLoad()
        if library is None:
            return GpuLoad()
        if (handle := self._handles.get(id)) is None:
            try:
                handle = self._handles[id] = library.nvmlDeviceGetHandleByUUID(id)
            except library.NVMLError:
                return GpuLoad()
        utilization = memory = power = None
        with contextlib.suppress(library.NVMLError):
            utilization = float(library.nvmlDeviceGetUtilizationRates(handle).gpu)
        with contextlib.suppress(library.NVMLError):
            memory = int(library.nvmlDeviceGetMemoryInfo(handle).used)
        with contextlib.suppress(library.NVMLError):
            power = library.nvmlDeviceGetPowerUsage(handle) / 1000
        return GpuLoad(utilization, memory, power)

    def _start(self) -> Any:
        """The library, ready; None where there can be no GPUs."""
        with self._lock:
            if self._asked:
                return self._library
            library = self._given
            if library is None:
                try:
                    library = importlib.import_module("pynvml")
                except ImportError:
                    self._absence = _without_package()
            if library is not None:
                try:
                    library.nvmlInit()
                except library.NVMLError as error:
                    absent = (library.NVML_ERROR_LIBRARY_NOT_FOUND, library.NVML_ERROR_DRIVER_NOT_LOADED)
                    if getattr(error, "value", None) not in absent:
                        raise _silent(error) from None
                    self._absence = "NVIDIA's driver is not here; if there is a GPU, install the driver"
                else:
                    self._library = library
            self._asked = True
            return self._library

    def _gpu(self, library: Any, handle: Any, index: int, parent: str | None = None) -> Gpu:
        id = _text(library.nvmlDeviceGetUUID(handle))
        memory = None
        with contextlib.suppress(library.NVMLError):  # shared with the processor on some boards
            memory = int(library.nvmlDeviceGetMemoryInfo(handle).total)
        return Gpu(id, index, _text(library.nvmlDeviceGetName(handle)), memory, parent)


def find_gpus(driver: Driver | None = None, environ: Mapping[str, str] | None = None) -> list[Gpu]:
    """The devices that this process may use: those of the machine that its CUDA_VISIBLE_DEVICES leaves.

    Args:
        driver: where to ask; None: this machine's.
        environ: holds CUDA_VISIBLE_DEVICES or not; None: that of this process.

    Raises:
        RunnerError: the driver is there and does not answer.
    """
    found = (driver or NvmlDriver()).devices()
    return visible(found, (os.environ if environ is None else environ).get("CUDA_VISIBLE_DEVICES"))


def visible(gpus: Sequence[Gpu], setting: str | None) -> list[Gpu]:
    """What a value of CUDA_VISIBLE_DEVICES leaves of some devices, in its order.

    As CUDA reads it: entries are separated by commas; an entry is an index, an id, or the beginning of an id that fits
    one device only; what comes behind the first entry that names nothing is left out. Unlike CUDA: indices are always
    in `nvidia-smi`'s order, as after CUDA_DEVICE_ORDER=PCI_BUS_ID, and a divided GPU stands for all of its parts.

    Args:
        gpus: all devices.
        setting: None: not set, all are left.
    """
    if setting is None:
        return list(gpus)
    left: dict[str, Gpu] = {}
    for entry in (part.strip() for part in setting.split(",")):
        named = list(_named(gpus, entry))
        if not named:
            break
        left |= {gpu.id: gpu for gpu in named}
    return list(left.values())


def _named(gpus: Sequence[Gpu], entry: str) -> Iterator[Gpu]:
    if entry.isdecimal():
        yield from (gpu for gpu in gpus if gpu.index == int(entry))
    elif entry.startswith(("GPU-", "MIG-")):
        wholes = {id for gpu in gpus for id in (gpu.id, gpu.parent) if id is not None and id.startswith(entry)}
        if entry in wholes:
            wholes = {entry}
        if len(wholes) == 1:
            yield from (gpu for gpu in gpus if not wholes.isdisjoint((gpu.id, gpu.parent)))


def _is_divided(library: Any, handle: Any) -> bool:
    try:
        return bool(library.nvmlDeviceGetMigMode(handle)[0])
    except library.NVMLError:  # most GPUs cannot be
        return False


def _parts(library: Any, handle: Any) -> Iterator[Any]:
    """Handles of the parts of a GPU."""
    if _is_divided(library, handle):
        for number in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
            with contextlib.suppress(library.NVMLError):  # a place for a part that is not there
                yield library.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)


def _silent(error: Exception) -> RunnerError:
    return RunnerError(f"NVIDIA's driver does not answer ({error}); see `nvidia-smi`, or reboot after an upgrade")


def _without_package() -> str:
    listing = Path("/proc/driver/nvidia/gpus")
    there = sum(1 for _ in listing.iterdir()) if listing.is_dir() else 0
    what = f"the driver names {there}, but Python's " if there else ""
    return f"{what}package nvidia-ml-py is not installed: pip install 'mleb-core[gpus]'"


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value  # old versions give bytes
