r"""Runs and run groups as they are written to disk, and the events between.

    pending -> preparing -> running -> collecting -> grading -> finished
                                   \-> failed | timed_out | cancelled | interrupted

A run's status is the last one that was written to its run.json.
"""

import enum
import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mleb_core.agent import AgentId
from mleb_core.errors import UsageError
from mleb_core.terms import Terms

__all__ = [
    "MOST_RUNS",
    "Cause",
    "Limits",
    "Outcome",
    "Run",
    "RunGroup",
    "RunKey",
    "RunStatus",
    "Text",
    "append_event",
    "last_event",
    "now",
    "utf8",
]

MOST_RUNS = 100_000
"""Runs that a group may have: all of them are held in memory."""


def utf8(value: Any) -> Any:
    """A text without what is no valid Unicode; anything else as it is."""
    # File names and messages of agents may hold bytes that are not UTF-8 (lone surrogates); JSON cannot carry those.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(utf8)]
"""Text that an agent may have had a hand in: kept as it is, but for what is no valid Unicode."""


def now() -> str:
    """The time in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class RunStatus(enum.StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    PREPARING = "preparing"
    RUNNING = "running"
    COLLECTING = "collecting"
    GRADING = "grading"
    FINISHED = "finished"
    """Agent ended by itself with exit code 0; graded."""
    FAILED = "failed"
    """See the cause. An agent error is graded all the same if there is a submission."""
    TIMED_OUT = "timed_out"
    """The agent's time was up; graded."""
    CANCELLED = "cancelled"
    """A person cancelled this run while its group goes on; not graded, and --resume leaves it alone. Ctrl-C, which
    stops the group, interrupts instead."""
    INTERRUPTED = "interrupted"
    """The harness stopped meanwhile; `--resume` takes it up again."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the run, not even on --resume."""
        return self in (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED)


class Cause(enum.StrEnum):
    """Why a run did not simply finish."""

    AGENT_ERROR = "agent_error"
    """The agent ended with a failure, was killed for memory, or crashed. Graded if it left a submission."""
    AGENT_TIMEOUT = "agent_timeout"
    """Time was up. Graded."""
    BUDGET_REACHED = "budget_reached"
    """Its budget for models was used up; it ended by itself or was ended. Graded."""
    SANDBOX_FAILURE = "sandbox_failure"
    """The place where it ran broke. Tried again."""
    HARNESS_FAILURE = "harness_failure"
    """mleb itself failed. Tried again."""
    CANCELLED = "cancelled"
    """A person stopped it."""


class Frozen(BaseModel):
    """Read-only record; unknown keys of later versions are kept out but do no harm."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Limits(Frozen):
    """What one run may use."""

    time_s: float = 24 * 3600.0
    """Wall-clock seconds."""
    grace_s: float = 10.0
    """Seconds between the polite signal and the final one when time is up."""
    memory_bytes: int | None = None
    """Resident memory of all its processes together; None: no limit."""
    steps: int | None = None
    """Steps, told to the agent as STEP_LIMIT."""
    cpus: float | None = None
    """Processor cores; None: all. A runner that cannot limit them says so."""
    gpus: int = 0
    """Whole GPUs."""
    processes: int | None = None
    """Processes and threads at a time; None: what the runner thinks sound."""
    shm_bytes: int | None = None
    """Shared memory (/dev/shm); None: what the runner thinks sound."""
    disk_bytes: int | None = None
    """What it may have written at a time, in all; None: what the runner thinks sound."""
    log_bytes: int = 10 * 1024**3
    """agent.log is cut at this size, with a line that says so."""
    collect_bytes: int = 10 * 1024**3
    """Largest total size that is collected from submission, code and logs."""


class RunKey(Frozen):
    """What makes a run one of its kind within a group."""

    competition: str
    """Competition label, edition included (`iris@2`)."""
    agent: str
    """Agent id."""
    seed: int
    """Repetition index, from 0."""

    def __str__(self) -> str:
        return f"{self.competition} {self.agent} seed {self.seed}"


class Outcome(Frozen):
    """How the agent's part of a run ended, as the runner saw it."""

    status: RunStatus
    """FINISHED, FAILED, TIMED_OUT, CANCELLED or INTERRUPTED."""
    cause: Cause | None = None
    """None when finished."""
    message: Text = ""
    """One line for people: what happened."""
    exit_code: int | None = None
    """Of the agent's main process; negative: the signal that killed it."""
    runtime_s: float = 0.0
    """Wall-clock seconds from start to end of the agent."""
    peak_memory_bytes: int | None = None
    """Largest resident memory seen."""
    refused: tuple[Text, ...] = ()
    """Files that were not collected, each `path: why`."""
    privileged: bool = False
    """Whether the agent had a privileged container, which isolates little."""


class Run(Frozen):
    """run.json: the state of one run."""

    format_version: int = 1
    """Version of this file's format."""
    key: RunKey
    """Competition, agent and seed."""
    group: str
    """Name of the run group."""
    status: RunStatus = RunStatus.PENDING
    """Where it stands."""
    attempt: int = 0
    """How often it was started; 1 is the first time."""
    failures: int = 0
    """How many attempts ended in a sandbox or harness failure; interruptions do not count."""
    ungraded: bool = False
    """Whether it ended without a verdict because the grader failed: --resume grades it again, once that is mended."""
    outcome: Outcome | None = None
    """How the agent's part ended, once it has."""
    created_at: str
    """UTC, ISO 8601."""
    started_at: str | None = None
    """Start of the last attempt."""
    ended_at: str | None = None
    """When the status became final."""

    @property
    def settled(self) -> bool:
        """Whether --resume leaves it alone: it ended, and no fault of sandbox, grader or mleb stands in its way."""
        faults = (Cause.SANDBOX_FAILURE, Cause.HARNESS_FAILURE)
        return self.status.ended and not self.ungraded and (self.outcome is None or self.outcome.cause not in faults)


def _agent_id(text: str) -> str:
    try:
        return str(AgentId.parse(text))
    except UsageError as error:
        raise ValueError(str(error)) from None


class RunGroup(Frozen):
    """group.json: what was asked for. Frozen when the group starts.

    Ids name directories and a group may come from others, so what is no id is refused.
    """

    format_version: int = 1
    """Version of this file's format."""
    name: str
    """Directory name."""
    created_at: str
    """UTC, ISO 8601."""
    competitions: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(@[0-9]+)?$")], ...] = Field(
        min_length=1
    )
    """Competition labels, each once."""
    agents: tuple[Annotated[str, AfterValidator(_agent_id)], ...] = Field(min_length=1)
    """Agent ids, each once."""
    seeds: int = Field(ge=1)
    """Number of repetitions."""
    split: str | None = None
    """The split asked for, where one was."""
    model: str | None = None
    """Model asked for."""
    settings: dict[str, Any] = {}
    """Agent settings asked for."""
    runner: str
    """Runner id."""
    engine: str
    """Engine id."""
    engine_settings: dict[str, Any] = {}
    """The engine's settings; they hold no keys."""
    workers: int = Field(ge=1)
    """Runs at a time."""
    retries: int = Field(2, ge=0)
    """Further attempts after a sandbox or harness failure."""
    limits: Limits
    """What one run may use."""
    terms: Terms = Terms(snapshot_s=None)
    """What runs may reach, and what is kept of them; the default is that of groups from before there were terms."""
    data_dir: str
    """Where the data was."""
    observers: dict[str, dict[str, Any]] = {}
    """Observers that tell other systems of the group, by id, with their settings. They hold no keys."""
    plugins: dict[str, str] = {}
    """Distributions in use, with versions."""
    digests: dict[str, str] = {}
    """sha256 of each competition's prepared manifest, by label."""
    imported: Text | None = None
    """Where the results come from, for a group of another harness (`mleb import`); None: mleb ran it."""

    @model_validator(mode="after")
    def _each_run_once(self) -> Self:
        for ids in (self.competitions, self.agents):
            if len(set(ids)) < len(ids):
                raise ValueError("an id is there twice")
        if self.seeds * len(self.competitions) * len(self.agents) > MOST_RUNS:
            raise ValueError(f"more than {MOST_RUNS:,} runs")
        return self

    def run_keys(self) -> list[RunKey]:
        """All runs asked for: seeds outermost, so that a stopped group has whole seeds first."""
        return [
            RunKey(competition=competition, agent=agent, seed=seed)
            for seed in range(self.seeds)
            for competition in self.competitions
            for agent in self.agents
        ]


def append_event(path: Path, event: str, **details: Any) -> None:
    """Add one line to an event log; a line is there whole or not at all.

    Raises:
        OSError: as open and write give it, and when only a part could be written (the part is taken back).
    """
    text = json.dumps({"time": now(), "event": event, **details}, ensure_ascii=False)
    line = text.encode("utf-8", "backslashreplace") + b"\n"  # a lone surrogate becomes its JSON escape
    with path.open("ab", buffering=0) as stream:
        written = stream.write(line)
        if written != len(line):  # a full disk takes a part first and complains later
            os.truncate(path, stream.tell() - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def last_event(path: Path, event: str) -> dict[str, Any]:
    """The last line of an event log that tells of this; empty where none can be read."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return {}
    mark = json.dumps({"event": event})[1:-1].encode()
    for line in reversed(lines):
        if mark in line:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and found.get("event") == event:
                return found
    return {}
