"""One container's life: created, started or taken up, watched to its end, removed."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mleb_core.agent import Launch
from mleb_core.errors import SandboxError
from mleb_core.layout import RunLayout
from mleb_core.run import Outcome
from mleb_core.runner.docker.cgroup import ControlGroup
from mleb_core.runner.docker.client import telling
from mleb_core.runner.docker.container import specification
from mleb_core.runner.docker.disk import DiskUse, DiskWatch
from mleb_core.runner.docker.images import BuiltImage
from mleb_core.runner.docker.leaving import Leaving
from mleb_core.runner.docker.limits import Bounds
from mleb_core.runner.docker.output import Output
from mleb_core.runner.docker.place import Record, User
from mleb_core.runner.docker.state import State, inspect, kill, last_line, remove, wait_until_ended
from mleb_core.runner.docker.verdict import verdict
from mleb_core.runner.docker.watch import End, Watch
from mleb_core.runner.meters import cgroup_reader
from mleb_core.runner.protocol import Job, Stop
from mleb_core.runner.resources import ResourceRecorder
from mleb_core.runner.snapshots import Snapshots, taking_snapshots

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["Attempt"]


@dataclass
class Attempt:
    """What one attempt at a run needs while it goes on. For one thread."""

    client: "DockerClient"
    """The engine."""
    job: Job
    """The run."""
    layout: RunLayout
    """Its directory, absolute."""
    bounds: Bounds
    """Its limits, all known."""
    use: DiskUse
    """Shared by all runs."""
    stop: Stop
    """Ends it."""
    place: RunLayout = field(init=False)
    """Where the agent works, once that is known."""
    refused: list[tuple[str, str]] = field(default_factory=list)
    """What is wrong with agent.log, once the attempt is over."""

    def start(self, record: Record, user: User, image: BuiltImage, launch: Launch) -> str:
        """Create and start the container; its id. One that cannot be started is removed.

        Raises:
            SandboxError: the engine refuses it.
            UsageError: as `container.privileged`.
        """
        arguments = specification(
            self.client,
            self.job,
            self.place,
            box=Path(record.box),
            user=user,
            image=image,
            launch=launch,
            bounds=self.bounds,
        )
        with telling("the container cannot be made"):
            container: str = self.client.api.create_container(**arguments)["Id"]
        try:
            with telling("the container cannot be started"):
                self.client.api.start(container)
        except BaseException:
            with contextlib.suppress(SandboxError):  # the first error tells; the next attempt clears what is left
                remove(self.client, container)
            raise
        return container

    def carry(self, container: str, output: Output) -> Outcome:
        """Watch a container that was started, by whomever, to its end, and remove it; the output is closed.

        Raises:
            SandboxError: the place broke.
            OSError: the host's side failed.
        """
        try:
            with self._removing(container):
                outcome = self._to_its_end(container, output)
        except BaseException:
            output.abandon()
            raise
        self.refused += output.close()
        return outcome

    @contextlib.contextmanager
    def _removing(self, container: str) -> Iterator[None]:
        """Remove the container in the end, whatever happens; an error on the way is the one that is told."""
        try:
            yield
        except BaseException as error:
            try:
                remove(self.client, container)
            except SandboxError as further:
                error.add_note(str(further))
            raise
        remove(self.client, container)

    def _to_its_end(self, container: str, output: Output) -> Outcome:
        state = inspect(self.client, container)
        began = time.monotonic() - state.runtime_s
        end, why, killed, peak = End.EXIT, "", 0, 0
        with taking_snapshots(self._snapshots(), self.job.snapshot_s, self.job.note, lambda: time.monotonic() - began):
            if state.running:
                watch = self._watch(container, state, output)
                try:
                    end = watch.until_end()
                    self._see_off(container, end, watch)
                finally:
                    watch.close()
                why, killed, peak = watch.why, watch.killed_for_memory, watch.peak
                state = wait_until_ended(self.client, container)
                if complaint := watch.recorder.close(state.runtime_s):
                    self.job.note("resources", error=complaint)
        # Process 1 need not be asked where all is well.
        fine = end is End.EXIT and state.exit_code == 0
        said = "mleb: exit 0" if fine else last_line(self.client, container)
        if end is End.EXIT and (state.out_of_memory or killed) and state.exit_code:
            peak = max(peak, self.bounds.memory_bytes)
        return verdict(
            end, state, said, limits=self.job.limits, bounds=self.bounds, why=why, killed=killed, peak=peak or None
        )

    def _watch(self, container: str, state: State, output: Output) -> Watch:
        group = ControlGroup.of(state.pid, container)
        places = (self.place.work_agent, self.place.work_submission, self.place.work_code, self.place.work_logs)
        disk = DiskWatch(
            (*places, self.place.work_output),
            run=self.layout.root,
            max_bytes=self.bounds.disk_bytes,
            max_files=self.bounds.files,
            use=self.use,
            processes=group.processes,
        )
        leaving = Leaving(state.pid, container, lambda: not inspect(self.client, container).running)
        read = cgroup_reader(state.pid if group.folder is not None else 0)
        recorder = ResourceRecorder(
            self.layout, read, gpus=self.job.gpus, disk=lambda: disk.used, take_up=self.job.take_up
        )
        return Watch(
            leaving,
            group,
            output,
            disk,
            recorder,
            memory=lambda: read().memory_bytes,
            elapsed_s=state.runtime_s,
            limits=self.job.limits,
            stop=self.stop,
        )

    def _see_off(self, container: str, end: End, watch: Watch) -> None:
        """End a container that has not ended by itself."""
        if end is End.EXIT:
            return
        if end is End.TIME:
            kill(self.client, container, "SIGTERM")
            watch.until_gone(self.job.limits.grace_s)
        kill(self.client, container, "SIGKILL")

    def _snapshots(self) -> Snapshots | None:
        if self.job.snapshot_s is None:
            return None
        source = self.place.work_submission.relative_to(self.place.root).parts
        return Snapshots(self.layout, self.place.root, source, max_bytes=self.job.limits.collect_bytes)
