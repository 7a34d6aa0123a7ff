"""The main job: from what a user asks for to a graded report.

`plan` checks everything and writes nothing; `evaluate` plans, prepares data that can be made on the spot,
runs and grades; `resume` goes on with a group that was cut off. Here registry, engine, runner, grading and
report meet, and nowhere else.
"""

import contextlib
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from mleb_core.agent import AgentPaths, LaunchContext, launch_of
from mleb_core.competition import Competition
from mleb_core.errors import NotPreparedError, RunGroupError, UsageError
from mleb_core.execute import Executor, read_run
from mleb_core.grading.pool import GradingPool
from mleb_core.group_dir import create_group, held, is_reported
from mleb_core.layout import GroupLayout, group_name, remove_unfinished
from mleb_core.prepare import data_digest, prepare, require_prepared
from mleb_core.registry import Registry
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, load_group, write_group_reports
from mleb_core.report.models import GroupReport
from mleb_core.run import MOST_RUNS, Limits, Run, RunGroup, RunKey, now
from mleb_core.runner.protocol import Stop
from mleb_core.runner.remove import remove_tree
from mleb_core.terms import Terms

__all__ = ["EvalRequest", "carry_out", "evaluate", "plan", "plan_resume", "resume", "unsettled"]

OnChange = Callable[[Run], None]
"""Told of each change of a run's status, from the run's thread."""
OnNotice = Callable[[str], None]
"""Told of what a user should know, one line each."""


@dataclass(frozen=True)
class EvalRequest:
    """What to evaluate, and how."""

    agents: tuple[str, ...]
    """Agent ids."""
    competitions: tuple[str, ...]
    """Competition ids or labels."""
    data_dir: Path
    """Where prepared data lies, or is made."""
    output: Path
    """Directory that holds run groups; made if missing."""
    split: str | None = None
    """Name of the split that the competitions are, for the report."""
    seeds: int = 1
    """Repetitions of each agent on each competition."""
    model: str | None = None
    """Model for the agents."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings for the agents."""
    runner: str = "local"
    """Runner id."""
    engine: str = "local"
    """Engine id."""
    workers: int = 1
    """Runs at a time."""
    retries: int = 2
    """Further attempts after a failure that is not the agent's."""
    limits: Limits = field(default_factory=Limits)
    """What one run may use."""
    terms: Terms = field(default_factory=Terms)
    """What runs may reach, and what is kept of them."""
    prepare: bool = True
    """Make data that needs no download where it is missing."""


def plan(request: EvalRequest, registry: Registry) -> RunGroup:
    """Check that everything asked for can be done; write nothing.

    Raises:
        UsageError: nothing asked for, an unknown id, a number out of range, more than MOST_RUNS runs; a variant,
            model or settings that an agent refuses.
        PluginError: what was asked for comes from a plugin that does not work.
        CompetitionError: a competition's folder is wrong, or contradicts its grader's direction.
        RunnerError: the runner cannot work here with these limits.
        NotPreparedError: data is missing and cannot be made on the spot.
    """
    for name, values in (("competition", request.competitions), ("agent", request.agents)):
        if not values:
            raise UsageError(f"no {name} was asked for")
        if twice := [value for value in dict.fromkeys(values) if values.count(value) > 1]:
            raise UsageError(f"{name} {twice[0]} was asked for twice")
    for name, number, least in (
        ("seeds", request.seeds, 1),
        ("workers", request.workers, 1),
        ("retries", request.retries, 0),
    ):
        if number < least:
            raise UsageError(f"{name} must be at least {least}, got {number}")
    if (number := request.seeds * len(request.competitions) * len(request.agents)) > MOST_RUNS:
        raise UsageError(f"{number:,} runs were asked for, a group has at most {MOST_RUNS:,}; start several groups")
    if not 0 < request.limits.time_s < math.inf:
        raise UsageError(f"the time limit must be a number of seconds above 0, got {request.limits.time_s:g}")
    settings = dict(request.settings)
    for agent in request.agents:
        settings = checked_settings(registry, agent, settings)
    competitions = [registry.competition(label) for label in request.competitions]
    digests = {}
    for competition in competitions:
        check_competition(competition, registry)
        with contextlib.suppress(NotPreparedError):
            digests[competition.label] = data_digest(competition, request.data_dir)
        if competition.label not in digests and not (request.prepare and competition.spec.source.kind == "python"):
            require_prepared(competition, request.data_dir)
    registry.engine(request.engine)
    registry.runner(request.runner).check(request.limits)
    created = now()
    group = RunGroup(
        name=group_name("+".join(request.agents)[:100], created),
        created_at=created,
        competitions=tuple(competition.label for competition in competitions),
        agents=request.agents,
        seeds=request.seeds,
        split=request.split,
        model=request.model,
        settings=settings,
        runner=request.runner,
        engine=request.engine,
        workers=request.workers,
        retries=request.retries,
        limits=request.limits,
        terms=request.terms,
        data_dir=str(request.data_dir.absolute()),
        plugins=plugin_versions(registry),
        digests=digests,
    )
    try:
        group.model_dump_json()
    except ValueError:  # bytes of the command line that are no text
        raise UsageError("--data-dir, --model, --split or a setting holds bytes that are not UTF-8") from None
    check_launches(group, registry)
    return group


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
    directory, group = create_group(request.output, group.model_copy(update={"digests": digests}))
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
        on_change: as for `evaluate`; so are the other two and `stop`.
        on_notice: one line for people.
        on_group: before the first run starts.
        stop: set it to end early.

    Raises:
        RunGroupError: no group, a damaged one, one that another mleb is at work on, or data that has
            changed since it began.
        as `plan` for plugins, competitions, runner and data that are no longer there.
    """
    group, _ = plan_resume(directory, registry)
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


def plan_resume(directory: Path, registry: Registry) -> tuple[RunGroup, list[RunKey]]:
    """Check that a group can go on; write nothing.

    Returns:
        What was asked for, and the runs that are left.

    Raises:
        as `resume`, but for a group that another mleb is at work on.
    """
    group = load_group(directory)
    data_dir = Path(group.data_dir)
    for label in group.competitions:
        competition = registry.competition(label)
        check_competition(competition, registry)
        digest = data_digest(competition, data_dir)
        if digest != group.digests.get(label, digest):
            raise RunGroupError(
                f"{label}: the data in {data_dir} is not the data that {directory.name} began with; start a new group"
            )
    for agent in group.agents:
        checked_settings(registry, agent, group.settings)
    registry.engine(group.engine)
    registry.runner(group.runner).check(group.limits)
    keys = unsettled(directory, group)
    if keys:
        check_launches(group, registry)
    return group, keys


def unsettled(directory: Path, group: RunGroup) -> list[RunKey]:
    """The runs of a group that have not ended for good, in the order of their start."""
    layout = GroupLayout(directory)
    keys = []
    for key in group.run_keys():
        run = read_run(layout.run(key.competition, key.agent, key.seed))
        if run is None or not run.settled:
            keys.append(key)
    return keys


def checked_settings(registry: Registry, agent: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """An agent's settings, validated by its scaffold's `settings_type`.

    Raises:
        UsageError: a setting is unknown or wrong, or the scaffold has none.
    """
    from pydantic import ValidationError

    scaffold, _ = registry.scaffold(agent)
    settings_type = getattr(scaffold, "settings_type", None)
    if settings_type is None:
        if settings:
            raise UsageError(f"agent {agent} has no settings, got {', '.join(settings)}")
        return {}
    try:
        model = settings_type.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        raise UsageError(f"setting agent.{name} of {agent}: {first['msg']}, got {first['input']!r:.60}") from None
    checked: dict[str, Any] = model.model_dump(mode="json", exclude_unset=True)
    return checked


def check_launches(group: RunGroup, registry: Registry) -> None:
    """Ask each scaffold for a command, with the paths of a container, so that what it refuses shows before any run.

    Raises:
        UsageError: a scaffold refuses its variant, model or settings.
        PluginError: a scaffold cannot say how it is started.
    """
    home = PurePosixPath("/home")
    places = [home / name for name in ("data", "submission", "code", "logs", "instructions.txt")]
    for agent in group.agents:
        scaffold, agent_id = registry.scaffold(agent)
        context = LaunchContext(
            competition_id=group.competitions[0].partition("@")[0],
            seed=0,
            variant=agent_id.variant,
            model=group.model,
            settings=group.settings,
            time_limit_s=group.limits.time_s,
            step_limit=group.limits.steps,
            paths=AgentPaths(home, *places),
            python=sys.executable,
        )
        launch_of(scaffold, context)


def check_competition(competition: Competition, registry: Registry) -> None:
    """Read a competition's files and find its grader.

    Raises:
        CompetitionError: a file is missing or wrong, or the leaderboard's direction is not the grader's.
        UnknownIdError: there is no such grader.
    """
    from mleb_core.grading.grade import check_direction

    _ = competition.description
    check_direction(competition, registry.grader(competition.spec.grading.grader))


def plugin_versions(registry: Registry) -> dict[str, str]:
    """Versions by distribution: core and every plugin that works."""
    working = {plugin.distribution: plugin.version for plugin in registry.manager.plugins if plugin.error is None}
    return {"mleb-core": version("mleb-core"), **dict(sorted(working.items()))}


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
    engine, runner = registry.engine(group.engine), registry.runner(group.runner)
    with held(directory), GradingPool(workers=min(workers, 4)) as pool:
        remove_unfinished(directory)
        keys = find_keys()  # only now: a harness that has just let go may have finished some
        if whole and keys and not all(vars(runner.isolation).values()):
            gaps = ", ".join(name for name, kept in vars(runner.isolation).items() if not kept)
            notice(f"runner {runner.id} does not isolate agents ({gaps}); use it for code that you trust")
        executor = Executor(group, GroupLayout(directory), registry, pool, on_change)
        try:
            for _ in engine.spread(keys, executor, workers=workers, stop=stop):
                pass
        finally:
            with contextlib.suppress(OSError):  # links only; the next harness tries again
                remove_tree(GroupLayout(directory).spares)
        report = group_report(*collect_group(directory), directory=directory)
        if keys or not is_reported(directory, report):
            write_group_reports(directory, report)
    if whole and not stop.is_set():
        for failure in registry.manager.observe("mleb_run_group_finished", run_group=group, report=report):
            notice(failure)
    return report
