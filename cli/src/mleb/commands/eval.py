"""`mleb eval`: the main job."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mleb.options import AsJson, Competitions, Config, DataDir, Edition, More, Split, Workers, duration, option, size
from mleb.output import print_json, print_json_text, print_notice, stdout_kept
from mleb.terms import (
    Budgets,
    Cpus,
    Disk,
    Gpus,
    GroupBudgets,
    Image,
    MaxCost,
    MaxTokens,
    Networks,
    Obfuscate,
    Privileged,
    Processes,
    RecordTo,
    ReplayFrom,
    Shm,
    SnapshotEvery,
    parse_budget,
    parse_interval,
)
from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from mleb_core.audits.findings import AuditRecord
    from mleb_core.evaluate import EvalRequest
    from mleb_core.registry import Registry
    from mleb_core.report.models import GroupReport

__all__ = ["fell_short", "parse_observers", "parse_settings", "register"]

WITH_RESUME = {"resume", "workers", "engine_settings", "ray_address", "audits", "dry_run", "as_json", "config"}
"""Options that can stand beside --resume: a group that goes on keeps all the rest."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval")(eval_command)


def eval_command(  # noqa: PLR0917
    context: typer.Context,
    more: More = None,
    plugins: Annotated[
        list[str] | None,
        option("--plugin", "-p", help="An agent, SCAFFOLD or SCAFFOLD/VARIANT; may be repeated.", metavar="AGENT"),
    ] = None,
    model: Annotated[str | None, option("--model", "-m", help="Model for the agents.", metavar="NAME")] = None,
    competitions: Competitions = None,
    split: Split = None,
    seeds: Annotated[
        int, option("--seeds", "-n", help="Repetitions of each agent on each competition.", min=1, metavar="N")
    ] = 1,
    workers: Workers = None,
    time_limit: Annotated[
        float | None,
        option(
            "--time-limit",
            "-t",
            help="Wall-clock time of one run: 90, 30s, 10m, 1h30m.",
            parser=duration,
            metavar="DURATION",
            show_default="24h",
        ),
    ] = None,
    memory_limit: Annotated[
        int | None,
        option(
            "--memory-limit",
            help="Memory of one run: 8GiB, 500MB.",
            parser=size,
            metavar="SIZE",
            show_default="no limit",
        ),
    ] = None,
    steps: Annotated[
        int | None, option("--steps", help="Steps that an agent is told it has.", min=1, metavar="N")
    ] = None,
    cpus: Cpus = None,
    gpus: Gpus = 0,
    processes: Processes = None,
    shm: Shm = None,
    disk: Disk = None,
    network: Networks = None,
    budgets: Budgets = None,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    group_budgets: GroupBudgets = None,
    snapshot_every: SnapshotEvery = "10m",
    record: RecordTo = None,
    replay: ReplayFrom = None,
    obfuscate: Obfuscate = False,
    image: Image = None,
    privileged: Privileged = False,
    runner: Annotated[str, option("--runner", "-r", help="Where a run happens.", metavar="ID")] = "local",
    engine: Annotated[str, option("--engine", help="How runs are spread.", metavar="ID")] = "local",
    engine_settings: Annotated[
        list[str] | None,
        option("--engine-set", help="A setting of the engine, KEY=VALUE; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    ray_address: Annotated[
        str | None,
        option("--ray-address", help="Where the Ray cluster is: auto or HOST:PORT.", metavar="ADDRESS"),
    ] = None,
    output: Annotated[
        Path,
        option("--output", "-o", help="Directory of run groups; this one becomes a directory in it.", metavar="DIR"),
    ] = Path("runs"),
    data_dir: DataDir = None,
    edition: Edition = 1,
    settings: Annotated[
        list[str] | None,
        option("--set", help="A setting of the agents, agent.KEY=VALUE; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    retries: Annotated[
        int, option("--retries", help="Further attempts after a failure that is not the agent's.", min=0, metavar="N")
    ] = 2,
    observers: Annotated[
        list[str] | None,
        option("--observe", help="Tell another system of the runs (`mleb list observers`); repeatable.", metavar="ID"),
    ] = None,
    observer_settings: Annotated[
        list[str] | None,
        option("--observe-set", help="A setting of an observer, ID.KEY=VALUE; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    audits: Annotated[
        list[str] | None,
        option("--audit", help="An audit of the runs, once they have ended (`mleb list audits`).", metavar="NAME"),
    ] = None,
    resume: Annotated[
        Path | None, option("--resume", help="Go on with a run group that was cut off.", metavar="GROUP_DIR")
    ] = None,
    dry_run: Annotated[
        bool, option("--dry-run", help="Check everything, say what would be run, start nothing.")
    ] = False,
    prepare: Annotated[
        bool, option("--prepare/--no-prepare", help="Prepare data that needs no download where it is missing.")
    ] = True,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run agents on competitions, grade what they hand in, and report.

    Exits with 1 where a run has no result or failed through no fault of its agent. Ctrl-C once: stop after saving.
    """
    from mleb_core.registry import Registry

    if resume is not None:
        _refuse_beside_resume(context)
    given = parse_engine_settings(engine_settings or (), ray_address)
    with stdout_kept():
        registry = Registry()
        if resume is None:
            from mleb.selection import select
            from mleb_core.evaluate import EvalRequest
            from mleb_core.layout import default_data_dir
            from mleb_core.run import Limits
            from mleb_core.terms import Terms

            if not plugins:
                raise UsageError("no agent was asked for; use --plugin AGENT (`mleb list agents`)")
            for agent in plugins:
                registry.scaffold(agent)
            limits: dict[str, Any] = {"time_s": time_limit, "memory_bytes": memory_limit, "steps": steps, "cpus": cpus}
            limits |= {"gpus": gpus, "processes": processes, "shm_bytes": shm, "disk_bytes": disk}
            terms = Terms(
                network=tuple(network or ()),
                budget=parse_budget(budgets, max_cost=max_cost, max_tokens=max_tokens),
                group_budget=parse_budget(group_budgets, "--group-budget"),
                snapshot_s=parse_interval(snapshot_every),
                image=image,
                privileged=privileged,
                record=str(record.absolute()) if record is not None else None,
                replay=str(replay.absolute()) if replay is not None else None,
                obfuscated=obfuscate,
            )
            chosen = select(registry, [*(competitions or ()), *(more or ())], split, edition)
            request = EvalRequest(
                agents=tuple(plugins),
                competitions=tuple(competition.label for competition in chosen),
                split=split,
                seeds=seeds,
                model=model,
                settings=parse_settings(settings or ()),
                runner=runner,
                engine=engine,
                engine_settings=given,
                workers=workers or int(getattr(registry.engine(engine), "workers", 1)),
                retries=retries,
                limits=Limits(**{name: value for name, value in limits.items() if value is not None}),
                terms=terms,
                data_dir=data_dir or default_data_dir(),
                output=output,
                observers=parse_observers(observers or (), observer_settings or ()),
                prepare=prepare,
            )
    what = request if resume is None else resume
    if audits:
        from mleb_core.audits.carry_out import chosen_audits
        from mleb_core.audits.protocol import RunAudit

        chosen_audits(registry, audits, RunAudit)
    if dry_run:
        _dry_run(what, registry, engine_settings=given, as_json=as_json)
    else:
        _run(what, registry, workers=workers, engine_settings=given, audits=audits or (), as_json=as_json)


def parse_settings(pairs: "list[str] | tuple[str, ...]", name_of_option: str = "--set") -> dict[str, Any]:
    """Agent settings from `agent.key=value`; the prefix may be left out, further dots make nested tables.

    A value that is JSON (20, true, [1, 2], "text") is that; any other is the text as it stands.

    Raises:
        UsageError: not a pair, or one key is given twice.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        path = name.removeprefix("agent.").split(".")
        if not equals or not all(path):
            raise UsageError(f"{name_of_option} {pair!r}: expected agent.KEY=VALUE")
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            value = text
        table = found
        for key in path[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise UsageError(f"{name_of_option} {pair!r}: {key} is a value already")
        if path[-1] in table:
            raise UsageError(f"{name_of_option} {name} was given twice")
        table[path[-1]] = value
    return found


def parse_engine_settings(pairs: "list[str] | tuple[str, ...]", ray_address: str | None = None) -> dict[str, Any]:
    """Settings of an engine from `KEY=VALUE`; values as by `parse_settings`.

    Args:
        pairs: the texts.
        ray_address: the same as `address=`.

    Raises:
        UsageError: not such a pair, or one key is given twice.
    """
    for pair in pairs:
        if not pair.partition("=")[0] or "=" not in pair:
            raise UsageError(f"--engine-set {pair!r}: expected KEY=VALUE")
    found = parse_settings(pairs, "--engine-set")
    if ray_address is not None:
        if "address" in found:
            raise UsageError("--engine-set address was given, and --ray-address, which is the same")
        found["address"] = ray_address
    return found


def parse_observers(
    ids: "list[str] | tuple[str, ...]", pairs: "list[str] | tuple[str, ...]"
) -> dict[str, dict[str, Any]]:
    """The observers asked for, with their settings from `ID.KEY=VALUE`; values as by `parse_settings`.

    Raises:
        UsageError: not such a pair, one key given twice, or settings of an observer that was not asked for.
    """
    found: dict[str, dict[str, Any]] = {id: {} for id in ids}
    for pair in pairs:
        name, _, _ = pair.partition("=")
        if "." not in name or "=" not in pair:
            raise UsageError(f"--observe-set {pair!r}: expected ID.KEY=VALUE")
        if (id := name.partition(".")[0]) not in found:
            raise UsageError(f"--observe-set {pair!r}: {id!r} was not asked for; add --observe {id}")
    for id, settings in parse_settings(pairs, "--observe-set").items():
        found[id] = settings
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _refuse_beside_resume(context: typer.Context) -> None:
    """A flag that --resume would ignore is refused; what the environment or a file says is not meant for it."""
    for option_ in context.command.params:
        source = context.get_parameter_source(str(option_.name))
        if option_.name not in WITH_RESUME and source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--resume takes all but --workers from the group; leave out {option_.opts[0]}")


def _dry_run(
    what: "EvalRequest | Path", registry: "Registry", *, engine_settings: dict[str, Any], as_json: bool
) -> None:
    from mleb_core.evaluate import plan, plan_resume

    with stdout_kept():
        if isinstance(what, Path):
            group, keys = plan_resume(what, registry, engine_settings=engine_settings)
        else:
            group = plan(what, registry)
            keys = group.run_keys()
    if as_json:
        runs = [key.model_dump(mode="json") for key in keys]
        print_json({"group": group.model_dump(mode="json"), "runs": runs})
    else:
        from mleb.reports import show_plan

        show_plan(group, keys)


def _run(
    what: "EvalRequest | Path",
    registry: "Registry",
    *,
    workers: int | None,
    engine_settings: dict[str, Any],
    audits: Sequence[str],
    as_json: bool,
) -> None:
    """Evaluate or resume, show it, report it, and end with the exit code that tells."""
    from mleb.commands.audit import found_bad, show_records
    from mleb.render import Progress
    from mleb.reports import show_group_reports
    from mleb.signals import Interruptible
    from mleb_core.audits.carry_out import audit_runs
    from mleb_core.evaluate import evaluate
    from mleb_core.evaluate import resume as resume_group
    from mleb_core.layout import GroupLayout
    from mleb_core.report.formats import to_json
    from mleb_core.report.load import load_group_report

    with (
        stdout_kept(),
        Progress() as progress,
        Interruptible(progress.set_note, lambda: progress.directory is not None) as interruptible,
    ):
        callbacks: dict[str, Any] = {
            "on_change": progress.on_change,
            "on_notice": progress.on_notice,
            "on_group": progress.on_group,
            "stop": interruptible.stop,
        }
        try:
            if isinstance(what, Path):
                report = resume_group(what, registry, workers=workers, engine_settings=engine_settings, **callbacks)
            else:
                report = evaluate(what, registry, **callbacks)
        except BaseException:
            if progress.directory is not None:
                progress.on_notice(_how_to_go_on(progress.directory))
            raise
    directory = progress.directory
    records: list[AuditRecord] = []
    if audits and directory is not None and interruptible.signal is None:
        with stdout_kept():
            records = audit_runs(directory, registry, names=audits)
            report = load_group_report(GroupLayout(directory).report_json)
    if as_json:
        print_json_text(to_json(report))
    else:
        show_group_reports([report])
        show_records(records)
    if interruptible.signal is not None:
        if directory is not None:
            print_notice(_how_to_go_on(directory))
        raise typer.Exit(128 + interruptible.signal)
    print_notice(f"report: {directory}")
    if fell_short(report):
        if directory is not None and report.counts.cancelled < len(report.missing):
            print_notice(_how_to_go_on(directory))
        raise typer.Exit(1)
    if any(found_bad(record) for record in records):
        raise typer.Exit(1)


def fell_short(report: "GroupReport") -> bool:
    """Whether a run is missing, or failed through no fault of its agent."""
    from mleb_core.run import Cause

    ours = (Cause.SANDBOX_FAILURE, Cause.HARNESS_FAILURE, Cause.CANCELLED)
    return bool(report.missing) or any(run.cause in ours for run in report.runs)


def _how_to_go_on(directory: Path) -> str:
    import shlex

    return f"to go on: mleb eval --resume {shlex.quote(str(directory))}"
