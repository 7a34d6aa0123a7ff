"""What a container's end means."""

import re
import signal

from mleb_core.errors import SandboxError
from mleb_core.run import Cause, Limits, Outcome, RunStatus
from mleb_core.runner.docker.limits import Bounds
from mleb_core.runner.docker.state import State
from mleb_core.runner.docker.watch import End

__all__ = ["verdict"]

_GIB = 1024**3
_LATE_S = 2.0


def verdict(
    end: End, state: State, said: str, *, limits: Limits, bounds: Bounds, why: str, killed: int, peak: int | None
) -> Outcome:
    """The outcome of a run whose container has ended.

    Args:
        end: why the watch was over.
        state: of the container, ended.
        said: the last line of its first process (`helper.py`).
        limits: of the run.
        bounds: of the container.
        why: the watch's own words for its end.
        killed: processes that the kernel killed for memory, as far as it was seen.
        peak: most memory seen, bytes.

    Raises:
        SandboxError: the container broke, or was ended from outside.
    """
    status: RunStatus
    cause: Cause | None
    exit_code = _agents_exit_code(said, state)
    out_of_memory = state.out_of_memory or killed > 0
    match end:
        case End.STOP:
            status, cause, message = RunStatus.INTERRUPTED, Cause.CANCELLED, "stopped"
        case End.LIMIT:
            status, cause, message = RunStatus.FAILED, Cause.AGENT_ERROR, why
        case End.TIME:
            status, cause = RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT
            message = f"time was up after {limits.time_s:g} s"
        case End.EXIT if "out of time" in said or state.runtime_s > limits.time_s + limits.grace_s + _LATE_S:
            # While no harness was there to see to it.
            status, cause = RunStatus.TIMED_OUT, Cause.AGENT_TIMEOUT
            message = f"time was up after {limits.time_s:g} s"
        case End.EXIT if state.exit_code == 0:
            status, cause, message = RunStatus.FINISHED, None, ""
        case End.EXIT:
            status, cause = RunStatus.FAILED, Cause.AGENT_ERROR
            message = _failure(said, state, exit_code, bounds if out_of_memory else None)
    return Outcome(
        status=status,
        cause=cause,
        message=message,
        exit_code=exit_code,
        runtime_s=round(state.runtime_s, 6),
        peak_memory_bytes=peak,
    )


def _agents_exit_code(said: str, state: State) -> int:
    """Negative: the signal. Where the first process did not live to tell, what the engine says of itself."""
    if match := re.match(r"mleb: (exit|signal) (\d+)", said):
        return int(match[2]) if match[1] == "exit" else -int(match[2])
    return 128 - state.exit_code if 128 < state.exit_code < 128 + signal.NSIG else state.exit_code


def _failure(said: str, state: State, exit_code: int, out_of_memory: Bounds | None) -> str:
    told = said.removeprefix("mleb: ")
    if told.endswith("after SIGTERM"):
        raise SandboxError("the container was stopped from outside")
    ending = _ending(exit_code)
    if out_of_memory is not None:
        return f"out of memory, limit {out_of_memory.memory_bytes / _GIB:.3g} GiB: {ending}"
    if told.startswith("cannot start"):
        return told
    if told.startswith(("exit ", "signal ")) and said != told:
        return ending + ("; the machine may be out of memory" if exit_code == -signal.SIGKILL else "")
    if state.exit_code == 128 + signal.SIGKILL:
        raise SandboxError("the container was killed from outside; the machine may be out of memory")
    raise SandboxError(f"the container broke: exit code {state.exit_code}: {told or state.error or 'no word of why'}")


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"killed by signal {-exit_code}"
