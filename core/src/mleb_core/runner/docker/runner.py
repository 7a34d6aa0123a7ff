"""Runs agents in Docker containers of their own.

An agent is treated as hostile. Its container has an ordinary user without any capability, a root file system that it
cannot write, no network but unix sockets of the harness, and limits that the kernel keeps; what it writes to disk is
watched from outside. It sees the competition's public data, and nothing else of the host; /proc/self/mountinfo tells
the host's paths of what is mounted, which name no run, and no competition where that is obfuscated.

A harness that is killed leaves the container running; a later one finds it by its label and takes it up.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.agent import Scaffold
from mleb_core.errors import RunnerError, SandboxError
from mleb_core.layout import RunLayout
from mleb_core.run import Cause, Limits, Outcome, RunStatus
from mleb_core.runner import workspace
from mleb_core.runner.docker import labels
from mleb_core.runner.docker.attempt import Attempt
from mleb_core.runner.docker.client import Engine, telling
from mleb_core.runner.docker.container import EVERYTHING, privileged
from mleb_core.runner.docker.disk import DiskUse
from mleb_core.runner.docker.images import ensure_image
from mleb_core.runner.docker.left import clear_leftovers, collect
from mleb_core.runner.docker.limits import bounds_of
from mleb_core.runner.docker.output import Output
from mleb_core.runner.docker.place import (
    PATHS,
    Record,
    User,
    box_of,
    connect_channel,
    give_home,
    make_place,
    new_place,
    read_record,
)
from mleb_core.runner.docker.state import LIVE, containers_of, remove
from mleb_core.runner.launching import launch_for, objection
from mleb_core.runner.protocol import Isolation, Job, Stop

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["DockerRunner"]

_SMALLEST_MEMORY = 64 * 1024**2


class DockerRunner:
    """Runs agents in Docker containers of their own."""

    id = "docker"
    summary = "a container on this machine's Docker engine; isolates files, network, memory and processes"
    isolation = Isolation(files=True, network=True, memory=True, processes=True)

    def __init__(self) -> None:
        self._engine = Engine()
        self._use = DiskUse()

    def check(self, limits: Limits) -> None:
        """See `Runner.check`."""
        if limits.memory_bytes is not None and limits.memory_bytes < _SMALLEST_MEMORY:
            raise RunnerError("a container needs at least 64 MiB of memory; raise --memory")
        with self._engine.use() as client:
            info = client.info()
            if str(info.get("OSType")) != "linux":
                raise RunnerError(f"the Docker engine runs {info.get('OSType')} containers; expected linux")
            if any("rootless" in option or "userns" in option for option in info.get("SecurityOptions") or ()):
                raise RunnerError("the Docker engine maps users (rootless or userns-remap); use one that does not")
            if limits.gpus and "nvidia" not in (info.get("Runtimes") or {}):
                raise RunnerError(
                    "the Docker engine has no NVIDIA runtime; install nvidia-container-toolkit, then run "
                    "`sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker`"
                )
            if limits.cpus is not None and limits.cpus > int(info.get("NCPU") or 0) > 0:
                raise RunnerError(f"{limits.cpus:g} processors are asked for, the engine has {info['NCPU']}")

    def check_agent(self, scaffold: Scaffold, settings: Mapping[str, Any], *, base: str | None, gpus: bool) -> None:
        """See `Runner.check_agent`: its image must be there, or such that it is built without a network."""
        with self._engine.use() as client:
            ensure_image(client, scaffold, base=base, gpus=gpus, settings=settings)

    def gpus_in_use(self) -> set[str]:
        """Ids of the GPUs of containers that run, whether a harness still watches them or not.

        Raises:
            SandboxError: the engine cannot be asked.
        """
        with self._engine.use_patiently(Stop()) as client, telling("GPUs in use cannot be asked for"):
            found = client.api.containers(filters={"label": labels.GPUS})
        return {id for container in found for id in container["Labels"][labels.GPUS].split(",")}

    def free_gpus(self, ids: Collection[str]) -> None:
        """Remove the containers that hold these GPUs: what dead harnesses left, for the caller has leased them.

        Raises:
            SandboxError: the engine cannot be asked, or a container cannot be removed.
        """
        mine = f"{labels.HOST}={labels.host_identity()}"
        with self._engine.use_patiently(Stop()) as client:
            with telling("containers on GPUs cannot be listed"):
                found = client.api.containers(all=True, filters={"label": [labels.GPUS, mine]})
            for container in found:
                if not set(ids).isdisjoint(container["Labels"][labels.GPUS].split(",")):
                    remove(client, container["Id"])

    def is_running(self, layout: RunLayout) -> bool:
        """See `Runner.is_running`.

        Raises:
            RunnerError: the engine cannot be asked.
        """
        layout = RunLayout(layout.root.absolute())
        with self._engine.use_patiently(Stop()) as client:
            return self._left_running(client, layout) is not None

    def run(self, job: Job, stop: Stop) -> Outcome:
        """See `Runner.run`."""
        layout = RunLayout(job.layout.root.absolute())
        if stop.is_set() and not job.take_up:
            return Outcome(status=RunStatus.INTERRUPTED, cause=Cause.CANCELLED, message="stopped before it started")
        with self._engine.use_patiently(stop) as client:
            attempt = Attempt(client, job, layout, bounds_of(job.limits), self._use, stop)
            try:
                outcome = self._taken_up(attempt) if job.take_up else self._started(attempt)
                refused = collect(layout, attempt.place, job.limits.collect_bytes, attempt.refused)
                return outcome.model_copy(update={"refused": refused, "privileged": privileged(job)})
            except OSError as error:
                where = error.filename or layout.root
                raise SandboxError(f"the agent's place broke: {where}: {error.strerror or error}") from error

    def _started(self, attempt: Attempt) -> Outcome:
        client, job, layout = attempt.client, attempt.job, attempt.layout
        for found in containers_of(client, layout):
            remove(client, found["Id"])
        clear_leftovers(layout)
        open_wide = privileged(job)
        image = ensure_image(client, job.scaffold, base=job.image, gpus=bool(job.gpus), settings=job.settings)
        job.note("image", reference=image.reference, digest=image.digest)
        if open_wide:
            job.note("privileged")
        if EVERYTHING not in job.network and job.network and (job.channel is None or job.channel.proxy is None):
            raise RunnerError("hosts are opened to the agent, but there is no proxy that leads to them")
        layout.work.mkdir(mode=0o700)
        place = attempt.place = new_place(layout)
        user, box = User.here(), box_of(layout, place, job.channel)
        # Written before all else, so that a later harness finds what stands elsewhere.
        Record(0, job.limits.log_bytes, str(box), str(place.root)).write(layout)
        make_place(job, place, user, box, image.python)
        launch = launch_for(job, PATHS, image.python)
        wrong = objection(launch) or workspace.put_files(place.work_agent, launch.files)
        give_home(place, user)
        output = Output(place.work_output, layout.log, job.limits.log_bytes)
        if wrong:
            attempt.refused += output.close()
            return Outcome(status=RunStatus.FAILED, cause=Cause.AGENT_ERROR, message=wrong)
        try:
            record = Record(output.start, job.limits.log_bytes, str(box), str(place.root))
            record.write(layout)
            container = attempt.start(record, user, image, launch)
        except BaseException:
            output.abandon()
            raise
        return attempt.carry(container, output)

    def _taken_up(self, attempt: Attempt) -> Outcome:
        client, job, layout = attempt.client, attempt.job, attempt.layout
        container, record = self._left_running(client, layout), read_record(layout)
        if container is None or record is None:
            raise SandboxError("the container of the former attempt is gone")
        attempt.place = RunLayout(Path(record.place))
        connect_channel(Path(record.box), job.channel)
        printed = attempt.place.work_output
        return attempt.carry(container, Output(printed, layout.log, record.log_limit, record.log_start))

    def _left_running(self, client: "DockerClient", layout: RunLayout) -> str | None:
        """The id of a container of this run that runs, or has run and was not collected; of this boot of this host."""
        if read_record(layout) is None:
            return None
        for found in containers_of(client, layout):
            mine = found["Labels"].get(labels.HOST) == labels.host_identity()
            if mine and found["State"] in (*LIVE, "exited"):
                return str(found["Id"])
        return None
