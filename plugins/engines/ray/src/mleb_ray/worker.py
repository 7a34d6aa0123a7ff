"""One run in a process on a node; or the clearing away of what a lost process left there.

The run itself goes on in a thread, so that the main thread hears of a stop, of the harness's death and of Ray's own
cancelling, and can ask the run to end as it should.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mleb_core.engine.protocol import Execute, Placement, Portable
from mleb_core.errors import MlebError, RunGroupError, RunnerError
from mleb_core.gateway.shared_budget import Amount
from mleb_core.run import Run, RunKey
from mleb_core.runner.protocol import Stop
from mleb_ray.cluster import here
from mleb_ray.desk import DeskBank

__all__ = ["Trouble", "carry", "sweep"]

LOOK_S = 0.5
_SLICE_S = 0.1
_HOLDER = secrets.token_hex(8)
_ENVIRON: dict[str, dict[str, str]] = {}
_WAITING: dict[Any, Any] = {}


@dataclass(frozen=True)
class Trouble:
    """A run that could not be carried."""

    kind: str
    """`group`: its directory cannot be written. `place`: such runs cannot happen. `run`: to be tried again."""
    message: str
    """One line."""


def carry(  # noqa: PLR0917
    execute: Execute, desk: Any, task: str, key: RunKey, lost: str, data_url: str | None
) -> Run | Trouble | None:
    """Carry a run to its end.

    Args:
        execute: carries it.
        desk: the harness's actor.
        task: the name of this try.
        key: the run.
        lost: why its former process is gone; empty: it has none.
        data_url: where prepared data is fetched from; None: it is on the nodes.

    Returns:
        The run; what hindered it; or None where the group was stopped before it began.
    """
    import ray

    used = execute.used_by(key) if isinstance(execute, Portable) and execute.budget.limited else Amount()
    if not ray.get(desk.begin.remote(task, _HOLDER, str(key), used)):
        return None
    if isinstance(execute, Portable):
        execute = execute.placed(_placement(desk, lost, data_url))
    found = _in_thread(execute, key, desk)
    ray.get(desk.end.remote(task))
    return found


def sweep(execute: Portable, desk: Any, key: RunKey) -> Trouble | None:
    """Clear away what a lost process left of a run on this node."""
    try:
        execute.sweep(key, _placement(desk, "", None))
    except (MlebError, OSError) as error:
        return Trouble("run", _line(error))
    return None


def _placement(desk: Any, lost: str, data_url: str | None) -> Placement:
    import ray

    from mleb_ray.fetching import fetch

    if not _ENVIRON:
        _ENVIRON["keys"] = ray.get(desk.environ.remote())

    def tell(run: Run) -> None:
        desk.tell.remote(run.model_dump_json())

    return Placement(
        gpus=tuple(str(id) for id in ray.get_gpu_ids()),
        facts=here(),
        on_change=tell,
        bank=DeskBank(desk, _HOLDER),
        environ=_ENVIRON["keys"],
        fetch=partial(fetch, data_url) if data_url is not None else None,
        lost=lost,
    )


def _in_thread(execute: Execute, key: RunKey, desk: Any) -> Run | Trouble:
    """Carry the run in a thread, and look meanwhile whether it is to end."""
    stop, found = Stop(), list[Run | Trouble]()

    def work() -> None:
        found.append(_carried(execute, key, stop))

    thread = threading.Thread(target=work, name=f"run {key}", daemon=True)
    thread.start()
    next_look = time.monotonic() + LOOK_S
    while thread.is_alive():
        try:
            thread.join(_SLICE_S)
            if time.monotonic() > next_look:
                next_look = time.monotonic() + LOOK_S
                if _is_stopped(desk):
                    stop.set()
        except KeyboardInterrupt:  # Ray cancels the task
            stop.set()
    return found[0] if found else Trouble("run", "the thread of the run ended without a word")


def _carried(execute: Callable[[RunKey, Stop], Run], key: RunKey, stop: Stop) -> Run | Trouble:
    try:
        return execute(key, stop)
    except RunGroupError as error:
        return Trouble("group", _line(error))
    except RunnerError as error:
        return Trouble("place" if type(error) is RunnerError else "run", _line(error))
    except Exception as error:
        return Trouble("run", f"{type(error).__name__}: {_line(error)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _is_stopped(desk: Any) -> bool:
    """Whether runs are to end. One call waits for it in each process, so that nobody is asked again and again."""
    import ray
    from ray.exceptions import RayError

    if desk._actor_id not in _WAITING:
        _WAITING[desk._actor_id] = desk.stopped.remote()
    waiting = _WAITING[desk._actor_id]
    ready, _ = ray.wait([waiting], timeout=0)
    if not ready:
        return False
    try:
        return bool(ray.get(waiting))
    except RayError:  # the harness is gone, and with it the group's hold
        return True
