"""A study carried out: each arm is a run group in OUTPUT/<study>/<arm>, and a second call does only what is left."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mleb_core.errors import MlebError, RunGroupError, UsageError
from mleb_core.evaluate import evaluate, resume
from mleb_core.layout import GroupLayout, StudyLayout, remove_unfinished, write_whole
from mleb_core.planning import EvalRequest, checked_settings, plan, plan_resume
from mleb_core.registry import Registry
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, load_group
from mleb_core.report.formats import to_json
from mleb_core.report.models import Report
from mleb_core.report.statistics.figures import with_figures
from mleb_core.report.statistics.models import ReportWithFigures
from mleb_core.report.studies import StudyReport, study_markdown, study_report
from mleb_core.run import RunGroup
from mleb_core.runner.protocol import Stop
from mleb_core.selection import select
from mleb_core.services import models_of
from mleb_core.sweep_models import Arm, Study
from mleb_core.terms import Budget

__all__ = ["PlannedArm", "SweepPlan", "plan_sweep", "report_sweep", "run_sweep"]

MODEL = "mleb-model"
"""The alias of the model that does the work, where a variant stands for several."""


class PlannedArm(Report):
    """What one arm will do; the figures "at most" are of the runs that are left."""

    arm: str
    """Its name."""
    agents: tuple[str, ...]
    """Agent ids."""
    model: str | None
    """The model asked for, where one is."""
    competitions: int
    """How many."""
    seeds: int
    """Repetitions."""
    runs: int
    """Runs in all; 0 where the arm asks for what cannot be."""
    left: int
    """Runs that are still to be done."""
    time_s: float
    """Wall-clock seconds of one run at most."""
    gpus: int
    """GPUs of one run."""
    hours: float
    """Hours of runs at most, one after the other."""
    gpu_hours: float
    """GPU-hours at most."""
    cost_usd: float | None
    """US dollars for models at most; None: no budget limits them."""
    tokens: int | None
    """Tokens at most; None: no budget limits them."""
    directory: str
    """Its run group's directory."""
    problem: str | None = None
    """Why it cannot be started here, in one line."""


class SweepPlan(Report):
    """What `mleb sweep --dry-run --json` gives."""

    format_version: Literal[1] = 1
    """Version of this format."""
    study: str
    """Its name."""
    title: str
    """What it asks."""
    arms: tuple[PlannedArm, ...]
    """In the order of the file."""
    runs: int
    """Of all arms; so are the next five."""
    left: int
    """Still to be done."""
    hours: float
    """Hours of runs at most."""
    gpu_hours: float
    """GPU-hours at most."""
    cost_usd: float | None
    """US dollars at most; None: some arm has no such budget."""
    tokens: int | None
    """Tokens at most; None: some arm has no such budget."""


@dataclass
class _Ready:
    """An arm as it stands."""

    arm: Arm
    planned: PlannedArm
    request: EvalRequest | None = None
    error: MlebError | None = None
    begun: bool = field(default=False)


def plan_sweep(study: Study, registry: Registry, *, data_dir: Path, output: Path) -> SweepPlan:
    """Say what a study would do, and check that it can; write nothing.

    What keeps an arm from being started stands in `PlannedArm.problem`.

    Args:
        study: what is asked.
        registry: competitions, agents, runners.
        data_dir: where prepared data lies, or is made.
        output: directory of studies and run groups.
    """
    return _plan_of(study, [_ready(arm, study, registry, data_dir, output) for arm in study.arms])


def run_sweep(
    study: Study,
    registry: Registry,
    *,
    data_dir: Path,
    output: Path,
    workers: int | None = None,
    stop: Stop | None = None,
    on_arm: Callable[[str, int, int], dict[str, Any]] | None = None,
) -> tuple[StudyReport, dict[str, ReportWithFigures]]:
    """Do what is left of a study, arm by arm, then bring the arms together in OUTPUT/<study>/report.json and report.md.

    Args:
        study: what is asked.
        registry: competitions, agents, runners.
        data_dir: where prepared data lies, or is made.
        output: directory of studies and run groups; made if missing.
        workers: runs at a time, where it shall differ from the file's.
        stop: ends it early; a later call goes on.
        on_arm: told of each arm before it begins: name, runs left, runs in all; gives the callbacks of `evaluate`.

    Returns:
        The study's report, and the reports of its groups by arm.

    Raises:
        UsageError: an arm asks for what cannot be, or was begun with other options; nothing was started.
        MlebError: an arm cannot be started here; nothing was started.
        as `evaluate` and `resume`.
    """
    arms = [_ready(arm, study, registry, data_dir, output) for arm in study.arms]
    for ready in arms:
        if ready.error is not None:
            kind = UsageError if isinstance(ready.error, UsageError) else MlebError
            others = [other.arm.name for other in arms if other.error is None]
            hint = f" (others could start: --only {others[0]})" if others else ""
            raise kind(f"arm {ready.arm.name}: {ready.error}{hint}") from ready.error
    stop = stop or Stop()
    for ready in arms:
        if stop.is_set():
            break
        directory, planned = Path(ready.planned.directory), ready.planned
        callbacks = on_arm(ready.arm.name, planned.left, planned.runs) if on_arm is not None else {}
        if not ready.begun:
            assert ready.request is not None
            _remove_empty(directory)
            request = replace(ready.request, workers=workers or ready.request.workers)
            evaluate(request, registry, stop=stop, **callbacks)
        elif planned.left or not GroupLayout(directory).report_json.is_file():
            options = ready.arm.options
            resume(
                directory,
                registry,
                workers=workers or options.workers,
                engine_settings=options.engine_settings,
                stop=stop,
                **callbacks,
            )
    return report_sweep(study, output)


def report_sweep(study: Study, output: Path) -> tuple[StudyReport, dict[str, ReportWithFigures]]:
    """Bring the arms of a study together as they stand, and write OUTPUT/<study>/report.json and report.md.

    The files hold all arms that were begun, also those that this call was not asked for.

    Returns:
        The report and the groups of the arms that were asked for.

    Raises:
        RunGroupError: an arm's group is damaged, or a report cannot be written.
    """
    layout = StudyLayout(output / study.name)
    asked = [arm.name for arm in study.arms]
    found: dict[str, ReportWithFigures] = {}
    for name in (*asked, *study.left_out):
        if (directory := layout.arm(name)).is_dir():
            # An arm that was not asked for, and is damaged, keeps no other from being told of.
            with contextlib.nullcontext() if name in asked else contextlib.suppress(MlebError):
                report = group_report(*collect_group(directory), directory=directory)
                found[name] = with_figures(report, directory)[0]

    def of(names: list[str]) -> StudyReport:
        groups = {name: found[name] for name in names if name in found}
        missing = tuple(name for name in names if name not in found)
        return study_report(study.name, study.title, groups, baseline=study.baseline, not_begun=missing)

    if found:
        try:
            whole = of([*asked, *study.left_out])
            write_whole(layout.report_json, to_json(whole))
            write_whole(layout.report_markdown, study_markdown(whole))
        except OSError as error:
            raise RunGroupError(f"{error.filename or layout.root}: cannot be written: {error.strerror}") from error
    return of(asked), {name: found[name] for name in asked if name in found}


def _ready(arm: Arm, study: Study, registry: Registry, data_dir: Path, output: Path) -> _Ready:
    """An arm as it stands on disk, and whether it can go on."""
    directory = StudyLayout(output / study.name).arm(arm.name)
    request, left, begun, options = None, None, False, arm.options
    error: MlebError | None = None
    try:
        request = _request(arm, study, registry, data_dir, output)
        if begun := directory.is_dir() and any(path.suffix != ".tmp" for path in directory.iterdir()):
            _same(directory, load_group(directory), request, registry)
            left = len(plan_resume(directory, registry, engine_settings=options.engine_settings)[1])
        else:
            plan(request, registry)
    except MlebError as met:
        error = met
    return _Ready(arm, _planned(arm, request, left, directory, error), request, error, begun)


def _request(arm: Arm, study: Study, registry: Registry, data_dir: Path, output: Path) -> EvalRequest:
    """What an arm asks of `evaluate`.

    Raises:
        UsageError: no agent, or competitions that are none.
    """
    options = arm.options
    if not options.plugin:
        raise UsageError("no agent was asked for; give plugin = SCAFFOLD or SCAFFOLD/VARIANT")
    observed: dict[str, Any] = {"observers": options.observers} if options.observers else {}
    chosen = select(registry, options.competition, options.split, options.edition)
    return EvalRequest(
        agents=options.plugin,
        competitions=tuple(competition.label for competition in chosen),
        data_dir=data_dir,
        output=StudyLayout(output / study.name).root,
        split=options.split,
        seeds=options.seeds,
        model=options.model or _model_of(arm.replaced, registry),
        settings=options.set,
        runner=options.runner,
        engine=options.engine,
        engine_settings=options.engine_settings,
        workers=options.workers or int(getattr(registry.engine(options.engine), "workers", 1)),
        retries=options.retries,
        limits=options.limits,
        terms=options.terms(arm.name),
        prepare=options.prepare,
        name=arm.name,
        **observed,
    )


def _model_of(agents: tuple[str, ...], registry: Registry) -> str | None:
    """The model of agents that others take the place of, so that a study of models stays one."""
    for agent in agents:
        with contextlib.suppress(MlebError):  # it is not installed: then the new one says what it needs
            models = models_of(None, *registry.scaffold(agent))
            if isinstance(models, str):
                return models
            if models:
                return models.get(MODEL) or next(iter(models.values()))
    return None


def _same(directory: Path, group: RunGroup, request: EvalRequest, registry: Registry) -> None:
    """Whether a group was begun with what is asked for now; runs at a time and retries may differ.

    Raises:
        UsageError: it was begun with something else, which is named.
    """
    settings = dict(request.settings)
    for agent in request.agents:
        settings = checked_settings(registry, agent, settings)
    wanted: dict[str, Any] = {
        name: getattr(request, name) for name in ("agents", "competitions", "seeds", "model", "runner", "engine")
    }
    wanted["settings"] = settings
    there = {name: getattr(group, name) for name in wanted}
    for part in ("limits", "terms"):
        wanted |= getattr(request, part).model_dump()
        there |= getattr(group, part).model_dump()
    for name, value in wanted.items():
        if there[name] != value:
            raise UsageError(
                f"{directory} was begun with {name} {_short(there[name])}, now it is {_short(value)}; "
                "give what it was begun with, or another --output"
            )


def _planned(
    arm: Arm, request: EvalRequest | None, left: int | None, directory: Path, error: MlebError | None
) -> PlannedArm:
    options = arm.options
    competitions = len(request.competitions) if request else 0
    runs = competitions * len(options.plugin) * options.seeds
    left = runs if left is None else left
    terms = request.terms if request is not None else None
    budget, group = (terms.budget, terms.group_budget) if terms is not None else (Budget(), Budget())
    tokens = _at_most(left, budget.tokens, group.tokens)
    return PlannedArm(
        arm=arm.name,
        agents=options.plugin,
        model=request.model if request is not None else options.model,
        competitions=competitions,
        seeds=options.seeds,
        runs=runs,
        left=left,
        time_s=options.time_limit,
        gpus=options.gpus,
        hours=round(left * options.time_limit / 3600, 6),
        gpu_hours=round(left * options.time_limit / 3600 * options.gpus, 6),
        cost_usd=_at_most(left, budget.cost_usd, group.cost_usd),
        tokens=None if tokens is None else int(tokens),
        directory=str(directory),
        problem=None if error is None else str(error),
    )


def _plan_of(study: Study, arms: list[_Ready]) -> SweepPlan:
    planned = tuple(ready.planned for ready in arms)
    costs, tokens = [arm.cost_usd for arm in planned], [arm.tokens for arm in planned]
    return SweepPlan(
        study=study.name,
        title=study.title,
        arms=planned,
        runs=sum(arm.runs for arm in planned),
        left=sum(arm.left for arm in planned),
        hours=round(sum(arm.hours for arm in planned), 6),
        gpu_hours=round(sum(arm.gpu_hours for arm in planned), 6),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        tokens=None if None in tokens else sum(number for number in tokens if number is not None),
    )


def _at_most(runs: int, each: float | None, together: float | None) -> float | None:
    limits = [limit for limit in (None if each is None else runs * each, together) if limit is not None]
    return min(limits) if runs and limits else None if runs else 0


def _remove_empty(directory: Path) -> None:
    """Remove the directory of an arm that was cut off before anything was in it."""
    if directory.is_dir():
        with contextlib.suppress(OSError):
            remove_unfinished(directory)
            directory.rmdir()


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
