"""Runs agents as plain processes of this machine, under the user's own name.

It keeps an agent's time and memory, and clears away what is left of it. It does not isolate: an agent reads what
the user can read, and talks to whom it likes. Run only programs that you would start yourself.

Memory is kept by looking at it, up to 200 times a second near the limit. The limits that the kernel could keep without
special rights count reserved addresses, not memory in use, and so break CUDA, Java and whoever maps large files.
"""

import contextlib
import errno
import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mleb_core.agent import Launch
from mleb_core.environments import python_for
from mleb_core.errors import RunnerError, SandboxError
from mleb_core.instructions import fill_in
from mleb_core.layout import RunLayout, write_json
from mleb_core.run import Cause, Limits, Outcome, RunStatus
from mleb_core.runner import workspace
from mleb_core.runner.agent_log import AgentLog
from mleb_core.runner.collect import Collector
from mleb_core.runner.gpus import GpuPool
from mleb_core.runner.launching import launch_for
from mleb_core.runner.meters import processes_reader
from mleb_core.runner.processes import ExitWatch, RunProcesses
from mleb_core.runner.protocol import Isolation, Job, Stop
from mleb_core.runner.public_data import keep_data
from mleb_core.runner.remove import remove_tree
from mleb_core.runner.resources import ResourceRecorder
from mleb_core.runner.snapshots import Snapshots, taking_snapshots
from mleb_core.runner.watch import End, Watch

__all__ = ["LocalRunner", "kill_at_once"]

_GIB = 1024**3
_RECORD_BYTES = 1 << 20
_SESSIONS: set[int] = set()
"""Sessions of the agents that this process runs, none of them reaped yet."""
_FAULTS_OF_THE_HOST = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOSPC)


class LocalRunner:
    """Runs agents as plain processes of this machine."""

    id = "local"
    summary = "a process on this machine; keeps time and memory, does not isolate"
    isolation = Isolation(files=False, network=False, memory=False, processes=False)
    takes_spares = True

    def check(self, limits: Limits) -> None:
        """See `Runner.check`. An agent is told which GPUs are its own, and not kept from others."""
        for name in ("cpus", "processes", "shm", "disk"):
            if getattr(limits, name, None) is not None or getattr(limits, f"{name}_bytes", None) is not None:
                raise RunnerError(f"the local runner cannot limit {name}; leave --{name} out, or use --runner docker")
        GpuPool().check(limits.gpus)

    def is_running(self, layout: RunLayout) -> bool:
        """See `Runner.is_running`; what a dead harness left is ended by `run`."""
        return False

    def run(self, job: Job, stop: Stop) -> Outcome:
        """See `Runner.run`."""
        layout = RunLayout(job.layout.root.absolute())
        try:
            clear_leftovers(layout)
            if stop.is_set():
                return Outcome(status=RunStatus.INTERRUPTED, cause=Cause.CANCELLED, message="stopped before it started")
            layout.work.mkdir(mode=0o700)
            place = workspace.make_place(layout, apart=job.obfuscated)
            # Before anything is in it, so that whoever comes after a harness that dies finds it.
            write_json(layout.work_record, _place_facts(place), durable=False)
            instructions = fill_in(job.instructions, workspace.agent_paths(place))
            workspace.make_workspace(
                place, job.public, job.description, instructions, spare=job.spare, neutral=job.obfuscated
            )
            if job.channel is not None:
                workspace.put_checker(place)
            tmp = workspace.make_temporary(place)
        except OSError as error:
            raise _broken("the agent's place cannot be made", error, layout.root) from error
        try:
            return _run_in_place(job, layout, place, tmp, stop)
        finally:
            workspace.remove_temporary(place)


def kill_at_once() -> None:
    """Kill the sessions of all agents that this process runs; for a signal handler that ends the process next.

    What has left its agent's session goes on until `mleb eval --resume` or `mleb cancel` finds it.
    """
    for session in tuple(_SESSIONS):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)


def clear_leftovers(layout: RunLayout) -> None:
    """End what is left of an earlier attempt, if any, and remove all of it but agent.log.

    Raises:
        SandboxError: a process cannot be killed.
        OSError: something cannot be removed.
    """
    place = layout
    with contextlib.suppress(ValueError, KeyError, TypeError):  # none, or one that was spoilt
        place = workspace.place_of(layout, json.loads(_read_record(layout.work_record))["place"])
    with contextlib.suppress(ValueError, KeyError, TypeError):
        record = json.loads(_read_record(layout.work_record))
        if (old := RunProcesses.from_record(record)) is not None:
            old.kill()
        if layout.log.is_file():
            AgentLog(layout.log, max(0, int(record["log_limit"])), int(record["log_start"])).close()
    workspace.remove_place(layout, place)
    for path in (layout.submission_dir, layout.code, layout.logs, layout.snapshots, layout.resources):
        remove_tree(path)


def _read_record(path: Path) -> bytes:
    """Content of a record; empty if there is none. The agent could have put anything there."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, _RECORD_BYTES) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _place_facts(place: RunLayout) -> dict[str, str]:
    return {"place": str(place.root)}


def _run_in_place(job: Job, layout: RunLayout, place: RunLayout, tmp: Path, stop: Stop) -> Outcome:
    """Run the agent in the place made for it, collect, and remove the place."""
    processes = RunProcesses()
    paths = workspace.agent_paths(place)
    launch = launch_for(job, paths, python_for(job.scaffold, job.settings))
    own_gpus = {"CUDA_VISIBLE_DEVICES": ",".join(job.gpus)} if job.gpus else {}
    services = job.channel.environment(job.channel.url) if job.channel is not None else {}
    further = (services, job.env, launch.env, own_gpus)
    env = workspace.environment(
        key=job.key, run_id=processes.marker, paths=paths, tmp=tmp, limits=job.limits, further=further
    )
    recorder = ResourceRecorder(layout, processes_reader(processes, job.limits.memory_bytes), gpus=job.gpus)
    try:
        wrong = workspace.put_files(place.work_home, launch.files)
        log = AgentLog(layout.log, job.limits.log_bytes)
        parts = place.work_submission.relative_to(place.root).parts
        snapshots = Snapshots(layout, place.root, parts, max_bytes=job.limits.collect_bytes)
    except OSError as error:
        raise _broken("the agent's place cannot be made", error, layout.root) from error

    def write_record() -> None:
        details = {"log_start": log.start, "log_limit": job.limits.log_bytes}
        write_json(layout.work_record, processes.record | _place_facts(place) | details, durable=False)

    try:
        # Around the start, so that nothing that fails here leaves a process behind that nobody watches.
        with taking_snapshots(snapshots, job.snapshot_s, job.note):
            try:
                # Before the start, so that no instant is left at which a dead harness's processes cannot be found.
                write_record()
                process = None if wrong else _start(launch, env, place.work_home, log)
            except _CannotStartError as error:
                wrong, process = str(error), None
            if process is None:
                outcome = Outcome(status=RunStatus.FAILED, cause=Cause.AGENT_ERROR, message=wrong or "")
            else:
                outcome = _watched(
                    process, processes, log, job.limits, stop, write_record=write_record, each_look=recorder.sample
                )
                if complaint := recorder.close(outcome.runtime_s):
                    job.note("resources", error=complaint)
    except OSError as error:
        log.close()
        raise _broken("the agent cannot be started or watched", error, layout.root) from error
    except BaseException:
        log.close()
        raise
    try:
        return _collected(job, layout, place, outcome, log)
    except OSError as error:
        raise _broken("what the agent left cannot be collected", error, layout.root) from error


class _CannotStartError(Exception):
    """The command that a scaffold gave cannot be started; the message says why."""


def _start(launch: Launch, env: Mapping[str, str], home: Path, log: AgentLog) -> "subprocess.Popen[bytes]":
    argv = [str(argument) for argument in launch.argv]
    if not argv:
        raise _CannotStartError("cannot start the agent: its command is empty")
    program = argv[0] if argv[0].isprintable() else ascii(argv[0])
    try:
        # No preexec_fn, so that Python may use vfork: fast, and safe beside other threads.
        return subprocess.Popen(
            argv, env=env, cwd=home, stdin=subprocess.DEVNULL, stdout=log.fd, stderr=log.fd, start_new_session=True
        )
    except OSError as error:
        if error.errno in _FAULTS_OF_THE_HOST:
            raise
        raise _CannotStartError(f"cannot start {program}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a NUL in an argument, a "=" in a variable's name
        raise _CannotStartError(f"cannot start {program}: {error}") from error


def _watched(
    process: "subprocess.Popen[bytes]",
    processes: RunProcesses,
    log: AgentLog,
    limits: Limits,
    stop: Stop,
    *,
    write_record: Callable[[], None],
    each_look: Callable[[float], object],
) -> Outcome:
    """Watch a process that was just started to its end; returns, or raises, when no process of the run is left."""
    leaving = None
    _SESSIONS.add(process.pid)
    try:
        processes.adopt(process.pid)
        leaving = ExitWatch(process.pid)
        watch = Watch(processes, leaving, log, limits, stop, each_look=each_look)
        write_record()
        end = watch.until_end()
        if end is End.TIME:
            watch.ask_to_end()
        runtime_s = time.monotonic() - watch.started
    finally:
        processes.kill()
        if leaving is not None:
            leaving.close()
        _SESSIONS.discard(process.pid)
        # Only now: as long as nobody has asked for it, its process id and session are given to no other.
        exit_code = process.wait()
    status, cause, message = _verdict(end, exit_code, watch, limits)
    return Outcome(
        status=status,
        cause=cause,
        message=message,
        exit_code=exit_code,
        runtime_s=runtime_s,
        peak_memory_bytes=watch.peak,
    )


def _verdict(end: End, exit_code: int, watch: Watch, limits: Limits) -> tuple[RunStatus, Cause | None, str]:
    match end:
        case End.STOP:
            return RunStatus.INTERRUPTED, Cause.CANCELLED, "stopped"
        case End.TIME:
            return RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT, f"time was up after {limits.time_s:g} s"
        case End.MEMORY:
            used, limit = watch.used / _GIB, (limits.memory_bytes or 0) / _GIB
            message = f"out of memory: {used:.3g} GiB used, limit {limit:.3g} GiB"
            return RunStatus.FAILED, Cause.AGENT_ERROR, message
        case End.EXIT if exit_code == 0:
            return RunStatus.FINISHED, None, ""
        case End.EXIT:
            return RunStatus.FAILED, Cause.AGENT_ERROR, _exit_message(exit_code)


def _exit_message(exit_code: int) -> str:
    if exit_code > 0:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"killed by {name}" + ("; the machine may be out of memory" if name == "SIGKILL" else "")


def _collected(job: Job, layout: RunLayout, place: RunLayout, outcome: Outcome, log: AgentLog) -> Outcome:
    """Finish the log, collect what the agent left, remove its place."""
    collector = Collector(job.limits.collect_bytes)
    if complaint := log.close():
        collector.refuse(*complaint)
    for source, target, first in (
        (place.work_submission, layout.submission_dir, layout.submission.name),
        (place.work_code, layout.code, None),
        (place.work_logs, layout.logs, None),
    ):
        # The agent could have made one of these itself.
        remove_tree(target)
        collector.collect(place.root, source.relative_to(place.root).parts, target, first)
    collector.finish()
    if job.spare is not None:
        keep_data(job.public, place.root, place.work_data.relative_to(place.root), job.spare)
    try:
        workspace.remove_place(layout, place)
    except OSError as error:
        collector.refuse(layout.work.name, f"cannot be removed: {error.strerror}")
    return outcome.model_copy(update={"refused": collector.refused})


def _broken(what: str, error: OSError, where: Path) -> SandboxError:
    return SandboxError(f"{what}: {error.filename or where}: {error.strerror or error}")
