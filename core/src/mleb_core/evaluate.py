"""The main job: from what a user asks for to a graded report.

`evaluate` plans, prepares data that can be made on the spot, runs and grades; `resume` goes on with a group that was
cut off. Here registry, engine, runner, services, grading and report meet, and nowhere else.
"""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mleb_core.elsewhere import Carrier
from mleb_core.engine.protocol import Execute
from mleb_core.environments import python_for
from mleb_core.execute import Executor
from mleb_core.grading.pool import GradingPool
from mleb_core.group_dir import create_group, held, is_reported
from mleb_core.layout import GroupLayout, remove_unfinished
from mleb_core.observing.relay import Observing
from mleb_core.planning import EvalRequest, configured_engine, plan, plan_resume, unsettled
from mleb_core.plugins import OBSERVER_S
from mleb_core.prepare import data_digest, prepare
from mleb_core.registry import Registry
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, write_group_reports
from mleb_core.report.models import GroupReport
from mleb_core.run import Run, RunGroup, RunKey
from mleb_core.runner.protocol import Stop
from mleb_core.runner.remove import remove_tree
from mleb_core.runner.stock import Stock, stocked
from mleb_core.services import Services

__all__ = ["EvalRequest", "carry_out", "evaluate", "plan", "plan_resume", "resume"]

OnChange = Callable[[Run], None]
"""Told of each change of a run's status, from the run's thread."""
OnNotice = Callable[[str], None]
"""Told of what a user should know, one line each."""


def evaluate(
    request: EvalRequest,
    registry: Registry,
    *,
    on_change: OnChange | None = None,
    on_notice: OnNotice | None = None,
    on_group: Callable[[Path, RunGroup], None] | None = None,
    stop: Stop | None = None,
) -> GroupReport:
    """Run and grade everything asked for, in a new group directory below `request.output`.

    Args:
        request: what to evaluate, and how.
        registry: competitions, agents, graders, runners and engines.
        on_change: told of each change of a run's status, from the run's thread.
        on_notice: told of what a user should know, one line each.
        on_group: told the group's directory and its frozen configuration before the first run starts.
        stop: set it to end early: runs under way are interrupted, `resume` goes on with the rest.

    Raises:
        as `plan`; PreparationError: data could not be made; RunGroupError: the output cannot be written.
    """
    group = plan(request, registry)
    notice = on_notice or (lambda line: None)
    digests = dict(group.digests)
    for label in group.competitions:
        competition = registry.competition(label)
        if label not in digests:
            notice(f"preparing {label}")
            prepare(competition, request.data_dir, progress=on_notice)
            digests[label] = data_digest(competition, request.data_dir)
    group = group.model_copy(update={"digests": digests})
    directory, group = create_group(request.output, group, exact=request.name is not None)
    if on_group is not None:
        on_group(directory, group)
    return carry_out(
        directory,
        group,
        registry,
        find_keys=group.run_keys,
        workers=group.workers,
        on_change=on_change,
        notice=notice,
        stop=stop,
    )


def resume(
    directory: Path,
    registry: Registry,
    *,
    workers: int | None = None,
    engine_settings: Mapping[str, Any] | None = None,
    on_change: OnChange | None = None,
    on_notice: OnNotice | None = None,
    on_group: Callable[[Path, RunGroup], None] | None = None,
    stop: Stop | None = None,
) -> GroupReport:
    """Go on with a group: what ended is kept, what was cut off is taken up, the rest is run.

    Args:
        directory: the group's directory.
        registry: as for `evaluate`.
        workers: runs at a time, where it shall differ from before.
        engine_settings: the engine's settings that shall differ from before.
        on_change: as for `evaluate`; so are the other two and `stop`.
        on_notice: one line for people.
        on_group: before the first run starts.
        stop: set it to end early.

    Raises:
        RunGroupError: no group, a damaged one, one that another mleb is at work on, or data that has
            changed since it began.
        as `plan` for plugins, competitions, runner and data that are no longer there.
    """
    group, _ = plan_resume(directory, registry, engine_settings=engine_settings)
    if on_group is not None:
        on_group(directory, group)
    return carry_out(
        directory,
        group,
        registry,
        find_keys=lambda: unsettled(directory, group),
        workers=workers or group.workers,
        on_change=on_change,
        notice=on_notice or (lambda line: None),
        stop=stop,
    )


def carry_out(
    directory: Path,
    group: RunGroup,
    registry: Registry,
    *,
    find_keys: Callable[[], list[RunKey]],
    workers: int,
    on_change: OnChange | None,
    notice: OnNotice,
    stop: Stop | None,
    whole: bool = True,
) -> GroupReport:
    """Run and grade what is left, then write the group's report; a report that says the same already is kept.

    Args: whole: whether this is all that is left, and observers are told that the group is finished.
    """
    stop = stop or Stop()
    engine, runner = configured_engine(registry, group.engine, group.engine_settings), registry.runner(group.runner)
    elsewhere = bool(getattr(engine, "elsewhere", False))
    layout = GroupLayout(directory)
    with Observing(group, layout, notice) as observing:
        with (
            held(directory),
            GradingPool(workers=min(workers, 4)) as pool,
            Services(group, layout, runner) as services,
        ):
            remove_unfinished(directory)
            keys = find_keys()  # only now: a harness that has just let go may have finished some
            if whole and keys and not all(vars(runner.isolation).values()):
                gaps = ", ".join(name for name, kept in vars(runner.isolation).items() if not kept)
                notice(f"runner {runner.id} does not isolate agents ({gaps}); use it for code that you trust")
            if keys and not runner.isolation.files and not elsewhere:
                for agent in dict.fromkeys(key.agent for key in keys):  # now, so that no run's time goes by meanwhile
                    python_for(registry.scaffold(agent)[0], group.settings, notice)
            if whole and keys:
                observing.start()
            stock = None
            if getattr(runner, "takes_spares", False) and not elsewhere:
                obfuscated = group.terms.obfuscated
                stock = Stock(keys, Path(group.data_dir), layout, workers, neutral=obfuscated)
            told = _both(observing.changed, _both(stock.changed, on_change) if stock else on_change)
            execute: Execute = Executor(group, layout, registry, pool, services, told)
            if elsewhere:
                execute = Carrier(directory.absolute(), group, told)
            try:
                with stocked(stock):
                    for _ in engine.spread(keys, execute, workers=workers, stop=stop):
                        pass
            finally:
                with contextlib.suppress(OSError):  # links only; the next harness tries again
                    remove_tree(layout.spares)
            report = group_report(*collect_group(directory), directory=directory)
            if keys or not is_reported(directory, report):
                write_group_reports(directory, report)
        finished = whole and not stop.is_set()
        if finished:
            for failure in registry.manager.observe(
                "mleb_run_group_finished", within_s=OBSERVER_S, run_group=group, report=report
            ):
                notice(failure)
        observing.end(finished=finished)
    return report


def _both(first: OnChange, second: OnChange | None) -> OnChange:
    def told(run: Run) -> None:
        first(run)
        if second is not None:
            second(run)

    return told
