"""What a runner is: the place where one run happens."""

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mleb_core.agent import Scaffold
from mleb_core.layout import RunLayout
from mleb_core.run import Limits, Outcome, RunKey

__all__ = ["Channel", "Isolation", "Job", "Runner", "Stop"]

LOOK_S = 1.0
"""Seconds between two looks for a request that comes from another process."""


@dataclass(frozen=True)
class Isolation:
    """What a runner keeps from an agent. What it cannot give it says, once, before the first run."""

    files: bool
    """The agent sees no file of the host but its own."""
    network: bool
    """The agent reaches nothing but the gateway."""
    memory: bool
    """A hard limit kept by the kernel."""
    processes: bool
    """No process outlives the run."""


@dataclass(frozen=True)
class Channel:
    """The way from one run to what the harness offers it: the model gateway and the submission checker."""

    socket: Path
    """Unix socket on the host that speaks HTTP, of this run alone. A runner with a network of its own mounts it and
    forwards a port of the container's 127.0.0.1 to it."""
    url: str
    """The same over TCP, http://127.0.0.1:PORT, for a runner whose agents share the host's network."""
    environment: Callable[[str], Mapping[str, str]]
    """Given the URL as the agent reaches it: the variables that clients need (base URLs, the run's token)."""
    proxy: Path | None = None
    """Unix socket of an HTTP proxy to the hosts that `Job.network` allows; None: there is none."""


def _ignore(kind: str, /, **details: Any) -> None:
    """Note nothing."""


@dataclass(frozen=True)
class Job:
    """One run for a runner."""

    key: RunKey
    """Which run."""
    layout: RunLayout
    """Its directory; exists. The runner writes agent.log, submission/, code/, logs/ and its own work/."""
    public: Path
    """The competition's public data on the host."""
    description: str
    """description.md as the agent shall see it."""
    instructions: str
    """instructions.txt; the runner fills in its paths with `mleb_core.instructions.fill_in`."""
    scaffold: Scaffold
    """Describes the command."""
    variant: str | None
    """Second part of the agent id."""
    model: str | None
    """Model asked for."""
    settings: Mapping[str, Any]
    """Agent settings, validated."""
    limits: Limits
    """What it may use."""
    env: Mapping[str, str]
    """Further environment for the agent."""
    attempt: int = 1
    """How often the run was started, this one included."""
    channel: Channel | None = None
    """The harness's services; None: none."""
    network: tuple[str, ...] = ()
    """What else the agent may reach: hosts (`pypi.example`, `*.example`, `host:port`), or `*` alone for everything. A
    runner that does not isolate the network cannot keep it."""
    gpus: tuple[str, ...] = ()
    """Ids (NVML UUIDs) of the GPUs that are the run's own."""
    snapshot_s: float | None = None
    """Seconds between copies of a submission that changed; None: no copies."""
    image: str | None = None
    """Base image asked for instead of mleb's own; for container runners."""
    privileged: bool = False
    """Whether the user allows a scaffold that needs it a privileged container."""
    spare: Path | None = None
    """Directory on the file system of the runs where a runner may leave what later runs of the competition can use,
    such as links to its data; removed at the end of the group. Where a runner has the attribute `takes_spares` set,
    trees of data lie there before the first runs begin. None: nowhere."""
    obfuscated: bool = False
    """Whether the agent is not to learn which competition it is: no path that it sees may name it. A runner that does
    not isolate files cannot keep it."""
    take_up: bool = False
    """`Runner.is_running` was true of it: go on watching instead of starting."""
    note: Callable[..., object] = _ignore
    """note(kind, **details) adds a line to the run's ledger: `note("image", digest="sha256:...")`."""


class Stop:
    """How the harness asks runners to end early. Thread-safe. A group has one, and each of its runs a child of it.

    A runner asks `is_set()` at least once a second: that is also how it hears of a request from another process.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._lock = threading.RLock()  # `set` is called in signal handlers
        self._children: weakref.WeakSet[Stop] = weakref.WeakSet()
        self._parent: Stop | None = None
        self._asked: Callable[[], bool] | None = None
        self._next_look = 0.0

    def set(self) -> None:
        """Ask what this one stands for to end now: a run's agent is killed, a group's all are."""
        with self._lock:
            self.event.set()
            children = list(self._children)
        for child in children:
            child.set()

    def is_set(self) -> bool:
        """Whether `set` was called, here or on its parent, or the request that it looks for has come."""
        if self.event.is_set():
            return True
        if self._asked is not None and (now := time.monotonic()) >= self._next_look:
            self._next_look = now + LOOK_S
            if self._asked():
                self.set()
        if self._parent is not None and self._parent.is_set():  # which looks for requests of its own
            self.set()
        return self.event.is_set()

    def child(self, asked: Callable[[], bool] | None = None) -> "Stop":
        """The stop of one run: set when this one is, and also alone.

        Args:
            asked: whether somebody asks this run alone to end; called by `is_set`, at most once in LOOK_S seconds.
        """
        child = Stop()
        child._parent, child._asked = self, asked
        with self._lock:
            self._children.add(child)
            if self.event.is_set():
                child.event.set()
        return child


@runtime_checkable
class Runner(Protocol):
    """Runs agents, each in a place of its own. One object serves many runs from many threads at once.

    Optional methods: `check_agent(scaffold, settings, *, base, gpus)`, asked before the first run whether an agent can
    be run here (its image is there), which raises RunnerError; `gpus_in_use()`, ids of GPUs that its runs hold though
    no harness leases them; `free_gpus(ids)`, which ends what holds GPUs that the caller has leased.
    """

    id: str
    """Name for --runner."""
    summary: str
    """One line for listings."""
    isolation: Isolation
    """What it keeps from an agent."""

    def check(self, limits: Limits) -> None:
        """Before anything starts: can runs with these limits happen here?

        Raises:
            RunnerError: one line that says what is missing and the command that helps.
        """
        ...

    def is_running(self, layout: RunLayout) -> bool:
        """Whether a former harness left a run of this directory behind that goes on, or has ended uncollected, and
        that `run` can take up with its original clock. A runner whose agents die with their harness says False.
        """
        ...

    def run(self, job: Job, stop: Stop) -> Outcome:
        """Run an agent to its end and collect what it left; blocks.

        What a former attempt left behind (a dead harness's processes, half a directory) is found by the
        run's directory and either taken up again or removed first. Returns when no process of the run is
        left. After it, agent.log, submission/, code/ and logs/ hold regular files only; links, devices,
        and whatever is too large are refused and named in the outcome.

        Returns:
            FINISHED: exit code 0. FAILED with AGENT_ERROR: another exit code, a signal, out of memory.
            TIMED_OUT with AGENT_TIMEOUT. INTERRUPTED when `stop` was set meanwhile; where it is set from the start,
            no agent is started, but what a former attempt left running is ended all the same.

        Raises:
            UsageError: the scaffold refuses its variant, model or settings.
            SandboxError: the place broke; the run may be tried again.
        """
        ...
