"""What a run group will do, checked before anything of it is done.

`plan` turns what a user asks for into a run group, `plan_resume` reads one that was cut off; neither writes anything.
"""

import contextlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from mleb_core.agent import AgentPaths, LaunchContext, environment_of, image_of, launch_of
from mleb_core.competition import Competition
from mleb_core.engine.protocol import Engine
from mleb_core.environments import check_environment
from mleb_core.errors import NotPreparedError, RunGroupError, UsageError
from mleb_core.execute import read_run
from mleb_core.layout import GroupLayout, group_name
from mleb_core.prepare import data_digest, require_prepared
from mleb_core.registry import Registry
from mleb_core.report.collect import load_group
from mleb_core.run import MOST_RUNS, Limits, RunGroup, RunKey, now
from mleb_core.scaffolding import validated
from mleb_core.services import check_services
from mleb_core.terms import Terms

__all__ = ["EvalRequest", "configured_engine", "plan", "plan_resume", "plugin_versions", "unsettled"]


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
    engine_settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the engine."""
    workers: int = 1
    """Runs at a time."""
    retries: int = 2
    """Further attempts after a failure that is not the agent's."""
    limits: Limits = field(default_factory=Limits)
    """What one run may use."""
    terms: Terms = field(default_factory=Terms)
    """What runs may reach, and what is kept of them."""
    observers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Observers that tell other systems of the group, by id, with their settings."""
    prepare: bool = True
    """Make data that needs no download where it is missing."""
    name: str | None = None
    """Name of the group's directory, which must be free; None: after time and agents."""


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
    configured_engine(registry, request.engine, request.engine_settings)
    observers = {id: checked_observer(registry, id, given) for id, given in request.observers.items()}
    created = now()
    group = RunGroup(
        name=request.name or group_name("+".join(request.agents)[:100], created),
        created_at=created,
        competitions=tuple(competition.label for competition in competitions),
        agents=request.agents,
        seeds=request.seeds,
        split=request.split,
        model=request.model,
        settings=settings,
        runner=request.runner,
        engine=request.engine,
        engine_settings=dict(request.engine_settings),
        workers=request.workers,
        retries=request.retries,
        limits=request.limits,
        terms=request.terms,
        data_dir=str(request.data_dir.absolute()),
        observers=observers,
        plugins=plugin_versions(registry),
        digests=digests,
    )
    try:
        group.model_dump_json()
    except ValueError:  # bytes of the command line that are no text
        raise UsageError("--data-dir, --model, --split or a setting holds bytes that are not UTF-8") from None
    check_launches(group, registry)
    check_place(group, registry)
    return group


def plan_resume(
    directory: Path, registry: Registry, *, engine_settings: Mapping[str, Any] | None = None
) -> tuple[RunGroup, list[RunKey]]:
    """Check that a group can go on; write nothing.

    Args:
        directory: the group's.
        registry: as for `plan`.
        engine_settings: what differs from the group's, as the address of another cluster.

    Returns:
        What was asked for, and the runs that are left.

    Raises:
        as `resume`, but for a group that another mleb is at work on.
    """
    group = load_group(directory)
    group = group.model_copy(update={"engine_settings": {**group.engine_settings, **(engine_settings or {})}})
    if group.imported is not None:
        raise UsageError(f"{directory} was imported from {group.imported}: mleb has nothing to run in it")
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
    configured_engine(registry, group.engine, group.engine_settings)
    for id, given in group.observers.items():
        checked_observer(registry, id, given)
    keys = unsettled(directory, group)
    if keys:
        check_launches(group, registry)
        check_place(group, registry)
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
    scaffold, _ = registry.scaffold(agent)
    settings_type = getattr(scaffold, "settings_type", None)
    if settings_type is None:
        if settings:
            raise UsageError(f"agent {agent} has no settings, got {', '.join(settings)}")
        return {}
    model = validated(agent, settings_type, settings)
    checked: dict[str, Any] = model.model_dump(mode="json", exclude_unset=True)
    return checked


def checked_observer(registry: Registry, id: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """An observer's settings, validated by its `settings_type`; and whether it can work here.

    Raises:
        UsageError: no such observer, a setting that is unknown or wrong, or it cannot work here.
        PluginError: the plugin that brings it does not work.
    """
    from pydantic import ValidationError

    observer = registry.observer(id)
    settings_type = getattr(observer, "settings_type", None)
    checked: dict[str, Any] = {}
    if settings_type is None and settings:
        raise UsageError(f"observer {id} has no settings, got {', '.join(settings)}")
    if settings_type is not None:
        try:
            checked = settings_type.model_validate(dict(settings)).model_dump(mode="json", exclude_unset=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(map(str, (id, *first["loc"])))
            raise UsageError(f"observer setting {name}: {first['msg']}") from None
    observer.check(checked)
    return checked


def configured_engine(registry: Registry, id: str, settings: Mapping[str, Any]) -> Engine:
    """An engine with its settings.

    Raises:
        UsageError: no such engine, or a setting that is unknown or wrong.
        PluginError: the plugin that brings it does not work.
    """
    engine = registry.engine(id)
    configured = getattr(engine, "configured", None)
    if configured is None:
        if settings:
            raise UsageError(f"engine {id} has no settings, got {', '.join(settings)}")
        return engine
    found: Engine = configured(settings)
    return found


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


def check_place(group: RunGroup, registry: Registry) -> None:
    """Check that the runner can work here, that each agent can be run by it, and that the terms can be kept.

    Where runs happen elsewhere, the engine is asked whether there is a place for them, and what a runner needs of a
    machine is looked at on that machine, before its first run.

    Raises:
        RunnerError: the runner cannot work here with these limits, there are not so many GPUs, an image is missing, or
            a Python for a scaffold's environment.
        UsageError: terms that the runner cannot keep; a model without a provider, key or price; a scaffold that needs
            privileges which were not allowed.
    """
    runner = registry.runner(group.runner)
    engine = configured_engine(registry, group.engine, group.engine_settings)
    elsewhere = bool(getattr(engine, "elsewhere", False))
    if not elsewhere:
        runner.check(group.limits)
    check_services(group, runner, registry, here=not elsewhere)
    if elsewhere:
        if not runner.isolation.files:  # which needs nothing of the machine but its GPUs
            runner.check(group.limits.model_copy(update={"gpus": 0}))
        engine.check(group.limits)  # type: ignore[attr-defined]
    for agent in group.agents:
        scaffold, _ = registry.scaffold(agent)
        if elsewhere:
            if runner.isolation.files and image_of(scaffold, group.settings).privileged and not group.terms.privileged:
                raise UsageError(f"agent {agent} needs a privileged container; allow it with --allow-privileged")
            continue
        if not runner.isolation.files:
            if (environment := environment_of(scaffold, group.settings)) is not None:
                check_environment(environment)
            continue
        if image_of(scaffold, group.settings).privileged and not group.terms.privileged:
            raise UsageError(f"agent {agent} needs a privileged container; allow it with --allow-privileged")
        if (ready := getattr(runner, "check_agent", None)) is not None:
            ready(scaffold, group.settings, base=group.terms.image, gpus=group.limits.gpus > 0)
