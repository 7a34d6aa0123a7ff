"""One attempt of a run: its agent is given a place among the harness's services, runs there, and its end is written
down. What happens is in the run's ledger, from `start` (or `taken_up`) to `end`.
"""

from pathlib import Path

from mleb_core.competition import Competition
from mleb_core.errors import RunGroupError
from mleb_core.faults import told_in_full
from mleb_core.instructions import render_instructions
from mleb_core.layout import CompetitionData, GroupLayout, RunLayout
from mleb_core.ledger import Kind, Ledger, check_chain
from mleb_core.ledger_facts import file_facts, record_end, record_exchanges, start_details
from mleb_core.obfuscate import neutral_id, obfuscated_description
from mleb_core.registry import Registry
from mleb_core.run import Cause, Outcome, Run, RunGroup, RunStatus
from mleb_core.runner.protocol import Job, Stop
from mleb_core.services import Place, Services, can_check, models_of

__all__ = ["end_leftovers", "open_ledger", "run_agent"]

MOST_SPOILT = 1000
"""Spoilt ledgers that are kept of one run."""


def open_ledger(layout: RunLayout) -> Ledger:
    """A run's ledger. One that does not hold, as an agent that is not isolated can bring about, is kept under another
    name, and a new one begins with an entry that says so.

    Raises:
        RunGroupError: it cannot be opened, or is in use.
    """
    try:
        ledger = Ledger.open(layout)
    except RunGroupError:
        try:
            problems = [str(problem) for problem in check_chain(layout.ledger).problems]
            facts = file_facts(layout.ledger)
        except OSError:
            problems = []
        free = next((path for path in map(layout.spoilt_ledger, range(1, MOST_SPOILT)) if not path.exists()), None)
        if not problems or free is None:
            raise
        layout.ledger.rename(free)
        ledger = Ledger.open(layout)
        ledger.add(Kind.SPOILT, problem=problems[0], kept_as=free.name, file=facts)
    record_exchanges(ledger, layout)
    return ledger


def run_agent(
    run: Run,
    layout: RunLayout,
    ledger: Ledger,
    stop: Stop,
    *,
    group: RunGroup,
    group_layout: GroupLayout,
    registry: Registry,
    services: Services,
    take_up: bool,
) -> Outcome:
    """Run the agent of a run to its end; blocks.

    Args:
        run: with the number of this attempt.
        layout: its directory; exists.
        ledger: its ledger.
        stop: ends it early.
        group: what was asked for.
        group_layout: the group's directory.
        registry: where competitions, agents and runners are found.
        services: what the harness offers.
        take_up: the agent goes on that a former harness started.

    Raises:
        as `Runner.run` and `Services.place`.
    """
    runner, competition = registry.runner(group.runner), registry.competition(run.key.competition)
    scaffold, agent = registry.scaffold(run.key.agent)
    models = models_of(group.model, scaffold, agent)
    with services.place(run.key, layout, competition, models, ledger, stop, take_up=take_up) as place:
        if take_up:
            ledger.add(Kind.TAKEN_UP, attempt=run.attempt)
        else:
            details = start_details(
                run,
                group,
                group_layout,
                isolation=runner.isolation,
                plugins=group.plugins,
                gpus=place.gpus,
            )
            ledger.add(Kind.START, **details)
        job = _job(run, layout, group, group_layout, registry, place, take_up=take_up)
        outcome = runner.run(job, stop.child(asked=place.over.is_set))
    outcome = told_in_full(_with_budget(outcome, place, stop), layout)
    if outcome.status is not RunStatus.INTERRUPTED:
        record_end(ledger, layout, run.model_copy(update={"outcome": outcome}))
    return outcome


def end_leftovers(
    run: Run, layout: RunLayout, ledger: Ledger, *, group: RunGroup, group_layout: GroupLayout, registry: Registry
) -> None:
    """End what a dead harness left running of a run, and collect what that left.

    Raises:
        as `Runner.run`.
    """
    runner, over = registry.runner(group.runner), Stop()
    over.set()
    going_on = runner.is_running(layout)
    runner.run(_job(run, layout, group, group_layout, registry, Place(ledger), take_up=going_on), over)


def _job(  # noqa: PLR0917
    run: Run,
    layout: RunLayout,
    group: RunGroup,
    group_layout: GroupLayout,
    registry: Registry,
    place: Place,
    *,
    take_up: bool,
) -> Job:
    competition = registry.competition(run.key.competition)
    scaffold, agent = registry.scaffold(run.key.agent)
    terms, isolated = group.terms, registry.runner(group.runner).isolation.network
    return Job(
        key=run.key,
        layout=layout,
        spare=group_layout.spare(competition.label),
        public=CompetitionData.of(Path(group.data_dir), competition.label).public,
        description=described(competition, obfuscated=terms.obfuscated),
        instructions=render_instructions(
            limits=group.limits,
            sample=competition.spec.grading.sample,
            checker=place.channel is not None and can_check(),
            network=terms.network if isolated else None,
        ),
        scaffold=scaffold,
        variant=agent.variant,
        model=group.model,
        settings=group.settings,
        limits=group.limits,
        env={"COMPETITION_ID": neutral_id(competition.id)} if terms.obfuscated else {},
        attempt=run.attempt,
        channel=place.channel,
        network=terms.network,
        gpus=place.gpus,
        snapshot_s=terms.snapshot_s,
        image=terms.image,
        privileged=terms.privileged,
        obfuscated=terms.obfuscated,
        take_up=take_up,
        note=place.ledger.add,
    )


def described(competition: Competition, *, obfuscated: bool) -> str:
    """description.md as agents see it."""
    return obfuscated_description(competition.description) if obfuscated else competition.description


def _with_budget(outcome: Outcome, place: Place, stop: Stop) -> Outcome:
    """How a run ended, if a budget was reached: that is its cause, whether it ended by itself or was ended for it."""
    if place.budget is None or outcome.status is RunStatus.CANCELLED:
        return outcome
    if outcome.status is RunStatus.INTERRUPTED:
        if stop.is_set() or not place.over.is_set():
            return outcome
        status, message = RunStatus.TIMED_OUT, f"{place.budget}; the agent went on and was ended"
    else:
        status, message = outcome.status, "; ".join(part for part in (place.budget, outcome.message) if part)
    return outcome.model_copy(update={"status": status, "cause": Cause.BUDGET_REACHED, "message": message})
