"""How a run group goes, read from its directory alone: by any process, on any machine that sees it, for every engine.

Nothing is asked of the harness or of a cluster, so it holds for a group whose harness has died, too.
"""

import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mleb_core.errors import RunGroupError
from mleb_core.execute import UNDER_WAY, read_run
from mleb_core.gateway.records import ModelUsage, Usage
from mleb_core.gateway.transcript import usage_in
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.ledger import Kind, read_ledger
from mleb_core.report.collect import is_at_work, load_group
from mleb_core.run import Run, RunGroup, RunKey, RunStatus, last_event, now
from mleb_core.terms import Budget

__all__ = ["GroupStatus", "RunNow", "group_status"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RunNow(_Frozen):
    """A run that is under way."""

    key: RunKey
    """Which."""
    status: RunStatus
    """Where it stands."""
    attempt: int
    """How often it was started."""
    seconds: float | None
    """Since the start of this attempt."""
    host: str | None = None
    """The machine, where the engine said so."""
    node: str | None = None
    """The engine's name for it."""
    gpus: tuple[str, ...] = ()
    """Its GPUs: what its ledger says, else what the engine gave it."""


class GroupStatus(_Frozen):
    """How a run group goes."""

    format_version: int = 1
    """Version of this format."""
    group: str
    """Its name."""
    engine: str
    """Engine id."""
    runner: str
    """Runner id."""
    time: str
    """When this was read; UTC, ISO 8601."""
    at_work: bool
    """Whether a harness is at work on it."""
    created_at: str
    """When it began."""
    asked: int
    """Runs asked for."""
    waiting: int
    """Runs that have not begun, or begin again."""
    by_status: dict[str, int]
    """Runs by where they stand; `pending` are those that have not begun."""
    settled: int
    """Runs that --resume leaves alone."""
    failures: int
    """Tries that failed through no fault of an agent."""
    under_way: tuple[RunNow, ...]
    """Runs under way; of a group that nobody is at work on, those that were cut off."""
    hosts: dict[str, int]
    """Runs under way by machine, where the engine said so."""
    gpus: int
    """GPUs that runs under way hold."""
    requests: int
    """Model calls so far."""
    tokens: int
    """Tokens so far."""
    known_cost_usd: float
    """What is known of the cost so far."""
    unpriced: int
    """Model calls whose price is unknown."""
    group_budget: Budget
    """What all runs together may use."""
    mean_s: float | None
    """Mean seconds of the runs that have ended, from the start of their last attempt; None: none has."""
    estimated_end: str | None
    """When the group will end if the runs that are left take as long as those that ended, as many at a time as now;
    UTC, ISO 8601. None: nobody is at work on it, or nothing is known."""
    latest_end: str | None
    """The same if all take as long as they may."""


def group_status(directory: Path) -> GroupStatus:
    """Read how a group goes.

    Raises:
        RunGroupError: no group, or a damaged one.
    """
    group, layout = load_group(directory), GroupLayout(directory)
    at_work = is_at_work(directory)
    time = datetime.now(UTC)
    counts: Counter[str] = Counter()
    total = ModelUsage()
    under_way: list[RunNow] = []
    spans: list[float] = []
    settled = failures = 0
    for key in group.run_keys():
        place = layout.run(key.competition, key.agent, key.seed)
        run = read_run(place)
        if run is None:
            counts[RunStatus.PENDING] += 1
            continue
        counts[run.status] += 1
        settled += run.settled
        failures += run.failures
        if run.settled and (span := _seconds(run.started_at, run.ended_at)) is not None:
            spans.append(span)
        if run.status in (*UNDER_WAY, RunStatus.GRADING):
            under_way.append(_now(run, place, time))
        total += _used(run, place)
    mean_s = statistics.fmean(spans) if spans else None
    return GroupStatus(
        group=group.name,
        engine=group.engine,
        runner=group.runner,
        time=now(),
        at_work=at_work,
        created_at=group.created_at,
        asked=len(group.run_keys()),
        waiting=len(group.run_keys()) - settled - len(under_way),
        by_status=dict(sorted(counts.items())),
        settled=settled,
        failures=failures,
        under_way=tuple(under_way),
        hosts=dict(Counter(run.host for run in under_way if run.host is not None)),
        gpus=sum(len(run.gpus) for run in under_way),
        requests=total.requests,
        tokens=total.tokens.total,
        known_cost_usd=round(total.known_cost_usd, 6),
        unpriced=total.unpriced,
        group_budget=group.terms.group_budget,
        mean_s=None if mean_s is None else round(mean_s, 1),
        estimated_end=_end(group, under_way, settled, mean_s, time) if at_work else None,
        latest_end=_end(group, under_way, settled, group.limits.time_s, time) if at_work else None,
    )


def _now(run: Run, layout: RunLayout, time: datetime) -> RunNow:
    placed = last_event(layout.events, "placed")
    return RunNow(
        key=run.key,
        status=run.status,
        attempt=run.attempt,
        seconds=_seconds(run.started_at, time.isoformat()),
        host=placed.get("host"),
        node=placed.get("node"),
        gpus=_gpus(layout) or tuple(map(str, placed.get("gpus", ()))),
    )


def _gpus(layout: RunLayout) -> tuple[str, ...]:
    """The GPUs of the last start, by its ledger; none where that does not hold."""
    try:
        starts = [entry for entry in read_ledger(layout.ledger) if entry.kind == Kind.START]
    except RunGroupError:
        return ()
    return tuple(map(str, starts[-1].details.get("gpus") or ())) if starts else ()


def _used(run: Run, layout: RunLayout) -> ModelUsage:
    """What a run has used of models, all its attempts together."""
    try:
        if run.settled and run.attempt == 1:  # short, where a transcript may be long
            usage = Usage.model_validate_json(layout.usage.read_bytes())
        else:
            usage = usage_in(layout.transcript)
    except (OSError, ValueError):
        return ModelUsage()
    return sum(usage.models.values(), ModelUsage())


def _seconds(begin: str | None, end: str | None) -> float | None:
    if begin is None or end is None:
        return None
    return max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def _end(group: RunGroup, under_way: list[RunNow], settled: int, each_s: float | None, time: datetime) -> str | None:
    """When all is done if each run takes so long, and as many go on at a time as now."""
    left = len(group.run_keys()) - settled
    if each_s is None or left == 0:
        return None
    going = [max(0.0, each_s - (run.seconds or 0.0)) for run in under_way]
    at_a_time = max(1, len(under_way))
    work = sum(going) + each_s * (left - len(under_way))
    seconds = max([work / at_a_time, *going])
    try:
        return (time + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    except OverflowError:
        return None
