"""Runs agents in namespaces made by bubblewrap: a sandbox of each run's own, without a daemon and without images.

An agent sees what one in a container sees, at the same paths, and this machine's /usr and Python in place of an image.
Its first process is the docker runner's helper, which forwards the way to the models, copies its output and ends with
it. All of the sandbox ends with the harness: there is nothing to take up, and nothing is left behind.
"""

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mleb_bwrap.groups import Groups, find_places
from mleb_bwrap.process import Sandboxed, resident_bytes
from mleb_bwrap.sandbox import Sandbox, describe, namespaces
from mleb_core.agent import Scaffold, image_of
from mleb_core.environments import python_for
from mleb_core.errors import RunnerError, SandboxError
from mleb_core.layout import RunLayout
from mleb_core.run import Cause, Limits, Outcome, RunStatus
from mleb_core.runner import workspace
from mleb_core.runner.docker.cgroup import ControlGroup
from mleb_core.runner.docker.container import EVERYTHING
from mleb_core.runner.docker.disk import DiskUse, DiskWatch
from mleb_core.runner.docker.labels import run_label
from mleb_core.runner.docker.left import clear_leftovers, collect
from mleb_core.runner.docker.limits import Bounds, bounds_of
from mleb_core.runner.docker.output import Output
from mleb_core.runner.docker.place import PATHS, Record, User, box_of, give_home, make_place, new_place
from mleb_core.runner.docker.state import State
from mleb_core.runner.docker.verdict import verdict
from mleb_core.runner.docker.watch import End, Watch
from mleb_core.runner.launching import launch_for, objection
from mleb_core.runner.meters import Usage, cgroup_reader
from mleb_core.runner.processes import ExitWatch
from mleb_core.runner.protocol import Isolation, Job, Stop
from mleb_core.runner.resources import ResourceRecorder
from mleb_core.runner.snapshots import Snapshots, taking_snapshots

__all__ = ["BwrapRunner"]

_GIB = 1024**3


class BwrapRunner:
    """Runs agents in namespaces made by bubblewrap."""

    id = "bwrap"
    summary = "namespaces made by bubblewrap on this machine; isolates files, network and processes, without a daemon"

    def __init__(self) -> None:
        self._use = DiskUse()

    @property
    def isolation(self) -> Isolation:
        """See `Runner.isolation`. Memory is the kernel's to limit only where control groups can be made."""
        return Isolation(files=True, network=True, memory=find_places() is not None, processes=True)

    def check(self, limits: Limits) -> None:
        """See `Runner.check`: a sandbox is made, for that depends on the machine's settings."""
        if limits.gpus:
            raise RunnerError("the bwrap runner gives no GPUs; use --runner docker")
        places = find_places()
        if limits.cpus is not None and (places is None or places.processor is None):
            raise RunnerError(
                "the bwrap runner cannot limit cpus here, for no control groups can be made; leave --cpus out"
            )
        options, change = namespaces(User.here(), network=False)
        mounts = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
        try:
            with contextlib.closing(Sandbox([*options, *mounts])) as probe:
                probe.refuse_calls()
                done = subprocess.run(
                    ["bwrap", *probe.arguments, "--", *change, "/bin/sh", "-c", ":"], pass_fds=probe.fds,
                    check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/",
                )  # fmt: skip
        except FileNotFoundError:
            raise RunnerError("bubblewrap is not installed; run `sudo apt-get install bubblewrap`") from None
        if done.returncode != 0:
            said = " ".join(done.stderr.split())
            raise RunnerError(
                f"bubblewrap cannot make a sandbox here: {said}; it takes version 0.8, and user namespaces for "
                "all (sysctl kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0)"
            )

    def check_agent(self, scaffold: Scaffold, settings: Mapping[str, Any], *, base: str | None, gpus: bool) -> None:
        """See `Runner.check_agent`: there are no images here; a scaffold's own Python is made if it is not there."""
        image = image_of(scaffold, settings)
        if base is not None or image.reference is not None:
            raise RunnerError("the bwrap runner runs no images; leave --image out, or use --runner docker")
        if image.privileged:
            raise RunnerError(f"agent {scaffold.id} needs a privileged container; use --runner docker")
        python_for(scaffold, settings)

    def is_running(self, layout: RunLayout) -> bool:
        """See `Runner.is_running`: sandboxes end with their harness."""
        return False

    def run(self, job: Job, stop: Stop) -> Outcome:
        """See `Runner.run`."""
        layout = RunLayout(job.layout.root.absolute())
        try:
            places = find_places()
            groups = None if places is None else Groups(places, f"mleb-{run_label(layout.root)[:16]}")
            if groups is not None:
                groups.remove()
            clear_leftovers(layout)
            if stop.is_set():
                return Outcome(status=RunStatus.INTERRUPTED, cause=Cause.CANCELLED, message="stopped before it started")
            attempt = _Attempt(job, layout, new_place(layout), bounds_of(job.limits), groups, self._use, stop)
            outcome = attempt.run()
            refused = collect(layout, attempt.place, job.limits.collect_bytes, attempt.refused)
            return outcome.model_copy(update={"refused": refused})
        except OSError as error:
            where = error.filename or layout.root
            raise SandboxError(f"the agent's place broke: {where}: {error.strerror or error}") from error


@dataclass
class _Attempt:
    """One attempt at a run. For one thread."""

    job: Job
    layout: RunLayout
    place: RunLayout
    bounds: Bounds
    groups: Groups | None
    use: DiskUse
    stop: Stop
    refused: tuple[tuple[str, str], ...] = ()

    def run(self) -> Outcome:
        """Make the place, start the sandbox, watch it to its end."""
        job, layout, place = self.job, self.layout, self.place
        if EVERYTHING not in job.network and job.network and (job.channel is None or job.channel.proxy is None):
            raise RunnerError("hosts are opened to the agent, but there is no proxy that leads to them")
        python = python_for(job.scaffold, job.settings)
        layout.work.mkdir(mode=0o700)
        user, box = User.here(), box_of(layout, place, job.channel)
        # Written before all else, so that a later harness finds what stands elsewhere.
        Record(0, job.limits.log_bytes, str(box), str(place.root)).write(layout)
        make_place(job, place, user, box, python)
        launch = launch_for(job, PATHS, python)
        wrong = objection(launch) or workspace.put_files(place.work_agent, launch.files)
        give_home(place, user)
        output = Output(place.work_output, layout.log, job.limits.log_bytes)
        if wrong:
            self.refused = tuple(output.close())
            return Outcome(status=RunStatus.FAILED, cause=Cause.AGENT_ERROR, message=wrong)
        Record(output.start, job.limits.log_bytes, str(box), str(place.root)).write(layout)
        try:
            details = describe(job, place, box=box, user=user, python=python, launch=launch, bounds=self.bounds)
            with contextlib.ExitStack() as stack:
                if self.groups is not None:
                    stack.callback(self.groups.remove)
                    self.groups.make(self.bounds, job.limits.cpus)
                with contextlib.contextmanager(lambda: details)() as sandbox:
                    sandboxed = Sandboxed(sandbox)
                stack.callback(sandboxed.close)
                stack.callback(sandboxed.end)
                sandboxed.release(self.bounds, self.groups)
                outcome = self._to_its_end(sandboxed, output)
        except BaseException:
            output.abandon()
            raise
        self.refused = tuple(output.close())
        return outcome

    def _to_its_end(self, sandboxed: Sandboxed, output: Output) -> Outcome:
        job, began = self.job, time.monotonic()
        with taking_snapshots(self._snapshots(), job.snapshot_s, job.note, lambda: time.monotonic() - began):
            watch, group = self._watch(sandboxed, output)
            try:
                end = watch.until_end()
                if end is End.TIME:
                    sandboxed.send(signal.SIGTERM)
                    watch.until_gone(job.limits.grace_s)
                if end is not End.EXIT:
                    sandboxed.send(signal.SIGKILL)
                sandboxed.process.wait()
                finished = time.time()
            finally:
                sandboxed.end()
                killed = max(watch.killed_for_memory, group.killed_for_memory())
                watch.close()
            runtime_s = max(0.0, finished - sandboxed.started)
            if complaint := watch.recorder.close(runtime_s):
                job.note("resources", error=complaint)
        code = sandboxed.process.returncode
        state = State(
            running=False, pid=0, exit_code=code if code >= 0 else 128 - code, out_of_memory=killed > 0,
            started=sandboxed.started, finished=finished, error="",
        )  # fmt: skip
        peak = max(watch.peak, self.bounds.memory_bytes) if killed and code else watch.peak
        said = sandboxed.words().rpartition("\n")[2]
        return verdict(
            end, state, said, limits=job.limits, bounds=self.bounds, why=watch.why, killed=killed, peak=peak or None
        )

    def _watch(self, sandboxed: Sandboxed, output: Output) -> tuple[Watch, ControlGroup]:
        place = self.place
        places = (place.work_agent, place.work_submission, place.work_code, place.work_logs, place.work_output)
        if self.groups is not None:
            group = self.groups.control_group()
            processes: Callable[[], list[int]] = group.processes
            read, memory = cgroup_reader(sandboxed.pid), None
        else:
            group, processes = ControlGroup(None), sandboxed.processes
            memory = _Memory(processes, self.bounds.memory_bytes)
            read = memory.read
        disk = _Limits(
            places, run=self.layout.root, max_bytes=self.bounds.disk_bytes, max_files=self.bounds.files,
            use=self.use, processes=processes,
        )  # fmt: skip
        disk.memory = memory
        recorder = ResourceRecorder(self.layout, read, gpus=(), disk=lambda: disk.used)
        watch = Watch(
            ExitWatch(sandboxed.process.pid), group, output, disk, recorder,
            memory=lambda: read().memory_bytes, elapsed_s=time.time() - sandboxed.started,
            limits=self.job.limits, stop=self.stop,
        )  # fmt: skip
        return watch, group

    def _snapshots(self) -> Snapshots | None:
        if self.job.snapshot_s is None:
            return None
        source = self.place.work_submission.relative_to(self.place.root).parts
        return Snapshots(self.layout, self.place.root, source, max_bytes=self.job.limits.collect_bytes)


class _Memory:
    """Memory kept by looking at it, where no control group does: a fast agent is past its limit before it is seen."""

    def __init__(self, processes: Callable[[], list[int]], limit: int) -> None:
        self._processes, self._limit = processes, limit

    def read(self) -> Usage:
        """Use at this instant."""
        return Usage(None, resident_bytes(self._processes()))

    def objection(self) -> str | None:
        """What is over the limit, in one line."""
        used = self.read().memory_bytes or 0
        if used <= self._limit:
            return None
        return f"out of memory: {used / _GIB:.3g} GiB used, limit {self._limit / _GIB:.3g} GiB"


class _Limits(DiskWatch):
    """The limits that are kept by looking: disk, and memory where nothing else keeps it."""

    memory: _Memory | None = None

    def look(self) -> str | None:
        """See `DiskWatch.look`."""
        return (self.memory.objection() if self.memory is not None else None) or super().look()

    @property
    def counting(self) -> bool:
        """See `DiskWatch.counting`: whether to look again soon."""
        return self.memory is not None or super().counting
