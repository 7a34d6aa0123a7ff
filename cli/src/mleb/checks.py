"""The checks behind `mleb doctor`. Each looks, changes nothing, and never fails."""

import os
import platform
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mleb import __version__
from mleb.output import clean

if TYPE_CHECKING:
    from mleb_core.registry import Registry
    from mleb_core.runner.gpus import Gpu

__all__ = ["Finding", "examine"]

SPACE_WANTED = 20 * 1024**3
"""Free bytes below which a directory is worth a warning: runs and data grow."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    what: str
    """What was looked at."""
    state: Literal["ok", "absent", "warning", "problem"]
    """absent: not here, and needed for some uses only; problem: broken, to be mended."""
    found: str
    """One line: what is there."""
    advice: str = ""
    """One line: what to do about what is missing."""


def examine(data_dir: Path, output: Path) -> list[Finding]:
    """All checks."""
    from mleb.model_keys import model_keys
    from mleb_core.registry import Registry

    registry = Registry()
    registry.load_all()
    return [
        _python(),
        *_plugins(registry),
        _docker(os.environ),
        _gpus(),
        *model_keys(os.environ, Path(".env")),
        _kaggle(os.environ, Path.home()),
        _directory("data directory", data_dir, "--data-dir"),
        _directory("output directory", output, "--output"),
        _data(registry, data_dir),
    ]


def _python() -> Finding:
    found = f"Python {platform.python_version()} at {sys.executable}, mleb {__version__}, {os.cpu_count()} processors"
    return Finding("Python", "ok", found)


def _plugins(registry: "Registry") -> Iterator[Finding]:
    plugins = registry.manager.plugins
    working = [plugin for plugin in plugins if plugin.error is None]
    names = ", ".join(plugin.name for plugin in working)
    if working:
        yield Finding("plugins", "ok", f"{len(working)} work: {names}")
    else:
        yield Finding(
            "plugins", "problem", "none works", "install some: pip install mleb brings agents, graders and samples"
        )
    for plugin in plugins:
        if plugin.error is not None:
            advice = f"upgrade it or uninstall it: pip uninstall {plugin.distribution}"
            yield Finding(
                f"plugin {plugin.name}", "problem", f"{plugin.distribution} {plugin.version}: {plugin.error}", advice
            )


def _docker(env: Mapping[str, str]) -> Finding:
    what = "Docker"
    host = env.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    client = "" if shutil.which("docker") else "; no `docker` command"
    if not host.startswith("unix://"):
        return Finding(what, "warning", f"DOCKER_HOST is {host}, not looked at{client}", "try it: docker version")
    path = host.removeprefix("unix://")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(3)
            connection.connect(path)
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            answer = connection.recv(4096)
    except FileNotFoundError:
        return Finding(
            what, "absent", f"no engine at {path}{client}", "needed for --runner docker only: install and start Docker"
        )
    except PermissionError:
        return Finding(
            what,
            "absent",
            f"no permission for {path}",
            "add yourself to its group: sudo usermod -aG docker $USER, then log in again",
        )
    except OSError as error:
        return Finding(
            what,
            "absent",
            f"engine at {path} does not answer: {error.strerror or error}",
            "start it: sudo systemctl start docker",
        )
    first = answer.partition(b"\r\n")[0].decode(errors="replace")
    if " 200 " not in f"{first} ":
        return Finding(
            what, "absent", f"{path} answers {clean(first)!r:.60}", "restart it: sudo systemctl restart docker"
        )
    return Finding(what, "ok", f"engine answers at {path}{client}")


def _gpus() -> Finding:
    """Which GPUs runs may have, and who has leased them."""
    from mleb_core.errors import MlebError
    from mleb_core.runner.gpus import GpuPool, NvmlDriver

    driver = NvmlDriver()
    pool = GpuPool(driver)
    try:
        gpus, absence = pool.gpus(), driver.absence
        machine = len(driver.devices())
        holders = pool.holders() if gpus else {}
    except MlebError as error:
        return Finding("GPUs", "problem", str(error), "mend it, or go without --gpus")
    if absence is not None:
        # The driver may be there without Python's package, or broken in a way that only its own tool can tell.
        return _gpus_by_tool(absence)
    left = "" if len(gpus) == machine else f"CUDA_VISIBLE_DEVICES leaves {len(gpus)} of {machine}"
    lines = [_gpu(gpu, holders.get(gpu.id)) for gpu in gpus]
    found = clean("; ".join([*([left] if left else []), *lines, *driver.faults]) or "no GPUs")
    if driver.faults:
        return Finding("GPUs", "warning", found, "see `nvidia-smi` and the kernel's log")
    return Finding("GPUs", "ok" if gpus else "absent", found)


def _gpu(gpu: "Gpu", holder: Mapping[str, object] | None) -> str:
    memory = "" if gpu.memory_bytes is None else f", {gpu.memory_bytes / 1024**3:.0f} GiB"
    state = "free"
    if holder is not None:
        note = f" for {holder['note']}" if holder.get("note") else ""
        state = f"leased by process {holder.get('pid')} of {holder.get('user')} since {holder.get('since')}{note}"
    return f"{gpu.index}: {gpu.name}{memory}, {gpu.id}, {state:.200}"


def _gpus_by_tool(absence: str) -> Finding:
    """What nvidia-smi says where Python's package knows of no GPU."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPUs", "absent", "no GPUs (nvidia-smi is not here)", "if there is one, install NVIDIA's driver")
    query = [tool, "--query-gpu=index,name,memory.total", "--format=csv,noheader"]
    mend = "reinstall NVIDIA's driver, or reboot after an upgrade"
    try:
        result = subprocess.run(query, capture_output=True, text=True, errors="replace", timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("GPUs", "problem", f"nvidia-smi fails: {error}", mend)
    lines = [clean(line) for line in result.stdout.splitlines() if line.strip()]
    if result.returncode != 0:
        reason = lines[0] if lines else clean(result.stderr)
        return Finding("GPUs", "problem", f"nvidia-smi fails: {reason}", mend)
    if lines:
        return Finding("GPUs", "warning", f"{'; '.join(lines)}, but runs cannot have them", absence)
    return Finding("GPUs", "absent", "no GPUs")


def _kaggle(env: Mapping[str, str], home: Path) -> Finding:
    """Whether there are credentials where `mleb prepare` looks for them. What they are is never shown."""
    from mleb_core.errors import MlebError
    from mleb_core.kaggle.credentials import find_credentials, how_to_get

    what = "Kaggle credentials"
    try:
        found = find_credentials(env, home)
    except MlebError as error:
        return Finding(what, "problem", str(error), "mend it or remove it; if it belongs to you: chmod 600")
    if found is not None:
        return Finding(what, "ok", f"in {found.place}") if found.path is None else _private(what, found.path)
    if env.get("KAGGLE_USERNAME") or env.get("KAGGLE_KEY"):
        return Finding(what, "warning", "KAGGLE_USERNAME and KAGGLE_KEY: only one of them is set", "set both")
    return Finding(what, "absent", "none", f"needed for downloads only: {how_to_get(home)}")


def _private(what: str, path: Path) -> Finding:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return Finding(what, "problem", f"{path}: {error.strerror}", f"chmod 600 {path}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Finding(what, "warning", f"in {path}, which others can read", f"chmod 600 {path}")
    return Finding(what, "ok", f"in {path}")


def _directory(what: str, path: Path, flag: str) -> Finding:
    """Whether a directory is there, or can be made, can be written, and has space."""
    path = path.absolute()
    there = path
    while not there.exists() and there != there.parent:
        there = there.parent
    advice = f"choose another with {flag}"
    if not there.is_dir():
        return Finding(what, "problem", f"{there} is no directory", advice)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(what, "problem", f"{there} cannot be written", advice)
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding(what, "problem", f"{there}: {error.strerror}", advice)
    found = f"{path}, {free / 1024**3:.1f} GiB free" + ("" if there == path else ", made when needed")
    if free < SPACE_WANTED:
        return Finding(what, "warning", found, f"free some space, or {advice}")
    return Finding(what, "ok", found)


def _data(registry: "Registry", data_dir: Path) -> Finding:
    """Which competitions have prepared data; whether it is whole is checked when it is used."""
    from mleb_core.layout import CompetitionData

    competitions = list(registry.competitions)
    ready = [id for id in competitions if CompetitionData.of(data_dir, id).prepared.is_dir()]
    found = f"{len(ready)} of {len(competitions)} competitions prepared" + (f": {', '.join(ready)}" if ready else "")
    if len(ready) == len(competitions) and ready:
        return Finding("prepared data", "ok", found)
    return Finding(
        "prepared data", "absent", found, "mleb prepare -c ID, or leave it to mleb eval where no download is needed"
    )
