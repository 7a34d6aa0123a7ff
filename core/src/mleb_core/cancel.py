"""Cancelling runs of a group, from any process, while the others go on; and taking that back.

A request is a file in the run's directory. The harness at work on the group finds it there; see `execute`.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from mleb_core.errors import RunGroupError, UnknownIdError
from mleb_core.evaluate import carry_out
from mleb_core.execute import read_run
from mleb_core.group_dir import BusyGroupError, held
from mleb_core.layout import GroupLayout, write_whole
from mleb_core.planning import unsettled
from mleb_core.registry import Registry
from mleb_core.report.collect import load_group
from mleb_core.run import RunGroup, RunKey, RunStatus, append_event

__all__ = ["cancel_runs", "restore_runs", "runs_named"]


def cancel_runs(directory: Path, wanted: Sequence[str], registry: Registry) -> list[RunKey]:
    """Cancel runs of a group: their agents are ended, nothing of them is graded, and --resume leaves them alone.

    The harness at work on the group, whichever process that is, ends them within about a second; where none is, it is
    done here. A run whose agent has ended is graded all the same.

    Args:
        directory: the group's directory.
        wanted: as for `runs_named`.
        registry: where the group's runner is found.

    Returns:
        The runs that were asked to end: those wanted that had not ended for good.

    Raises:
        RunGroupError: no group, a damaged one, or it cannot be written.
        UnknownIdError: the group has no such run.
        as `Registry.runner`: the group's runner is gone, so that what a dead harness left cannot be ended.
    """
    group = load_group(directory)
    layout = GroupLayout(directory)
    waiting = set(unsettled(directory, group))
    keys = [key for key in runs_named(group, wanted) if key in waiting]
    try:
        for key in keys:
            place = layout.run(key.competition, key.agent, key.seed)
            place.root.mkdir(parents=True, exist_ok=True)
            place.cancel.touch()
    except OSError as error:
        raise RunGroupError(f"{error.filename or directory}: {error.strerror or error}") from error
    if keys:
        chosen = set(keys)
        with contextlib.suppress(BusyGroupError):
            carry_out(
                directory,
                group,
                registry,
                find_keys=lambda: [key for key in unsettled(directory, group) if key in chosen],
                workers=1,
                on_change=None,
                notice=lambda line: None,
                stop=None,
                whole=False,
            )
    return keys


def restore_runs(directory: Path, wanted: Sequence[str]) -> list[RunKey]:
    """Take the cancelling of runs back: --resume runs them again.

    Returns:
        The runs that were cancelled.

    Raises:
        BusyGroupError: a harness is at work on the group.
        RunGroupError: no group, a damaged one, or it cannot be written.
        UnknownIdError: the group has no such run.
    """
    group = load_group(directory)
    layout = GroupLayout(directory)
    restored = []
    with held(directory):
        try:
            for key in runs_named(group, wanted):
                place = layout.run(key.competition, key.agent, key.seed)
                run = read_run(place)
                asked = place.cancel.exists()
                place.cancel.unlink(missing_ok=True)
                if run is not None and run.status is RunStatus.CANCELLED:
                    place.report.unlink(missing_ok=True)
                    append_event(place.events, "status", status=RunStatus.INTERRUPTED, message="no longer cancelled")
                    run = run.model_copy(update={"status": RunStatus.INTERRUPTED, "outcome": None, "ended_at": None})
                    write_whole(place.run, run.model_dump_json(indent=2) + "\n")
                    restored.append(key)
                elif asked:
                    restored.append(key)
        except OSError as error:
            raise RunGroupError(f"{error.filename or directory}: {error.strerror or error}") from error
    return restored


def runs_named(group: RunGroup, wanted: Sequence[str]) -> list[RunKey]:
    """The runs of a group that texts name, in the order asked for.

    Args:
        group: what was asked for.
        wanted: each COMPETITION, COMPETITION/AGENT or COMPETITION/AGENT/SEED, or the same by the names of the runs'
            directories, which come first: `c/a/2` is seed 2 of agent a, even where there is an agent a/2, whose
            directory is `c/a__2`. None for all runs.

    Raises:
        UnknownIdError: one names no run of the group.
    """
    keys = group.run_keys()
    if not wanted:
        return keys
    places: dict[str, list[RunKey]] = {}
    ids: dict[str, list[RunKey]] = {}
    here = GroupLayout(Path())
    for key in keys:
        root = here.run(key.competition, key.agent, key.seed).root
        for place in (root, root.parent, root.parent.parent):
            places.setdefault(str(place), []).append(key)
        for name in (f"{key.competition}/{key.agent}", f"{key.competition}/{key.agent}/{key.seed}"):
            ids.setdefault(name, []).append(key)
    found: set[RunKey] = set()
    for text in wanted:
        name = text.rstrip("/")
        chosen = places.get(name) or ids.get(name)
        if chosen is None:
            raise UnknownIdError("run of the group", text, {*places, *ids})
        found.update(chosen)
    return [key for key in keys if key in found]
