"""What a run's container is: the one description that the engine gets, isolation included."""

import resource
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.agent import Launch, image_of
from mleb_core.errors import UsageError
from mleb_core.layout import RunLayout
from mleb_core.runner import workspace
from mleb_core.runner.docker.images import BuiltImage
from mleb_core.runner.docker.labels import labels_of
from mleb_core.runner.docker.limits import Bounds
from mleb_core.runner.docker.place import GATEWAY, HELPER, OUTPUT, PATHS, PROXY, VALIDATE, User, data_of
from mleb_core.runner.protocol import Job

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

__all__ = ["EVERYTHING", "environment", "forwards", "privileged", "specification"]

EVERYTHING = "*"
"""In `Job.network`: the whole network."""
GATEWAY_PORT, PROXY_PORT = 8080, 3128
OPEN_FILES = 65536
"""Open files of one process; less where this process may not have as many itself: then the engine seldom may."""
PREFERRED_FOR_OOM = 500
"""Where the machine runs out of memory, agents go before what runs them."""
_OF_THE_HOST = ("PATH", "LANG", "TZ")


def privileged(job: Job) -> bool:
    """Whether the container is to be privileged.

    Raises:
        UsageError: the scaffold needs it and the user has not allowed it.
        PluginError: as `image_of`.
    """
    if not image_of(job.scaffold, job.settings).privileged:
        return False
    if not job.privileged:
        raise UsageError(
            f"agent {job.scaffold.id} needs a privileged container, which isolates little; --allow-privileged allows it"
        )
    return True


def environment(job: Job, launch: Launch) -> dict[str, str]:
    """The agent's environment; PATH and the like are the image's, not this machine's."""
    network: dict[str, str] = {}
    if job.channel is not None:
        network |= job.channel.environment(f"http://127.0.0.1:{GATEWAY_PORT}")
        if job.channel.proxy is not None:
            proxy = f"http://127.0.0.1:{PROXY_PORT}"
            for names, value in ((("http_proxy", "https_proxy"), proxy), (("no_proxy",), "127.0.0.1,localhost")):
                network |= {spelt: value for name in names for spelt in (name, name.upper())}
    further = (network, job.env, launch.env)
    found = workspace.environment(
        key=job.key,
        run_id=secrets.token_hex(16),
        paths=PATHS,
        tmp=Path("/tmp"),
        limits=job.limits,
        further=further,
    )
    given: set[str] = set().union(*further)
    kept = {name: value for name, value in found.items() if name in given or not _is_of_the_host(name)}
    return {"LANG": "C.UTF-8"} | kept


def specification(
    client: "DockerClient",
    job: Job,
    place: RunLayout,
    *,
    box: Path,
    user: User,
    image: BuiltImage,
    launch: Launch,
    bounds: Bounds,
) -> dict[str, Any]:
    """The arguments of docker-py's `create_container`."""
    open_wide = privileged(job)
    host = client.api.create_host_config(
        mounts=_mounts(job, place, box),
        tmpfs={"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={bounds.tmp_bytes},nr_inodes={bounds.files // 2}"},
        network_mode="bridge" if EVERYTHING in job.network else "none",
        read_only=True,
        privileged=open_wide,
        cap_drop=None if open_wide else ["ALL"],
        security_opt=None if open_wide else ["no-new-privileges"],
        ipc_mode="private",
        mem_limit=bounds.memory_bytes,
        memswap_limit=bounds.memory_bytes,
        oom_score_adj=PREFERRED_FOR_OOM,
        nano_cpus=None if job.limits.cpus is None else int(job.limits.cpus * 1e9),
        pids_limit=bounds.processes,
        shm_size=bounds.shm_bytes,
        ulimits=_ulimits(bounds),
        device_requests=_gpus(job.gpus),
        log_config=_log(),
        restart_policy={"Name": "no"},
        init=False,
    )
    return {
        "image": image.reference,
        "entrypoint": [image.python, "-I", "-S", "-E", f"/mleb/{HELPER}"],
        "command": [
            "run",
            repr(job.limits.time_s),
            repr(job.limits.grace_s),
            forwards(job),
            f"/mleb/{OUTPUT}",
            *launch.argv,
        ],
        "name": f"mleb-{secrets.token_hex(8)}",
        "hostname": "agent",
        "user": str(user),
        "working_dir": str(PATHS.home),
        "environment": environment(job, launch),
        "labels": labels_of(job.layout.root, job.attempt, job.gpus),
        "stop_signal": "SIGTERM",
        "healthcheck": {"test": ["NONE"]},
        "host_config": host,
    }


def _is_of_the_host(name: str) -> bool:
    return name in _OF_THE_HOST or name.startswith("LC_")


def forwards(job: Job) -> str:
    """The ports that the helper forwards, as its command line has them."""
    if job.channel is None:
        return "-"
    ports = [f"{GATEWAY_PORT}:/mleb/{GATEWAY}"]
    if job.channel.proxy is not None:
        ports.append(f"{PROXY_PORT}:/mleb/{PROXY}")
    return ",".join(ports)


def _mounts(job: Job, place: RunLayout, box: Path) -> "list[Mount]":
    from docker.types import Mount

    home = PATHS.home.parent
    places = (
        (data_of(job, place), PATHS.data, True),
        (place.work_description, PATHS.data / "description.md", True),
        (place.work_instructions, PATHS.instructions, True),
        (box / VALIDATE, home / VALIDATE, True),
        (place.work_agent, PATHS.home, False),
        (place.work_submission, PATHS.submission, False),
        (place.work_code, PATHS.code, False),
        (place.work_logs, PATHS.logs, False),
        (box, "/mleb", True),
        (place.work_output, f"/mleb/{OUTPUT}", False),
    )
    return [
        Mount(str(target), str(source), type="bind", read_only=fixed, propagation="rprivate")
        for source, target, fixed in places
    ]


def _ulimits(bounds: Bounds) -> "list[Ulimit]":
    from docker.types import Ulimit

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    open_files = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    return [
        Ulimit(name="nofile", soft=open_files, hard=open_files),
        Ulimit(name="fsize", soft=bounds.disk_bytes, hard=bounds.disk_bytes),
        Ulimit(name="core", soft=0, hard=0),
    ]


def _log() -> "LogConfig":
    """Of process 1 alone, which says little: the agent's output does not pass through the engine."""
    from docker.types import LogConfig

    return LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"})


def _gpus(ids: Sequence[str]) -> "list[DeviceRequest] | None":
    from docker.types import DeviceRequest

    return [DeviceRequest(driver="nvidia", device_ids=list(ids), capabilities=[["gpu"]])] if ids else None
