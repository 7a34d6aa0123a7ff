"""`mleb sweep`: a study of several arms, each a run group."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mleb.options import AsJson, Config, DataDir, Workers, duration, option, parsed_by, size
from mleb.output import print_json_text, print_notice, stdout_kept
from mleb.units import parse_count

if TYPE_CHECKING:
    from mleb_core.registry import Registry
    from mleb_core.sweep_models import ArmOptions, Study

__all__ = ["register"]

OWN = {"file", "only", "output", "data_dir", "workers", "dry_run", "config", "as_json"}
"""Options that are no arm's."""
FOR_ALL = "For all arms: "


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sweep")(sweep_command)


def sweep_command(  # noqa: PLR0917
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="TOML file of a study.", metavar="FILE", show_default=False)],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="An arm; may be repeated. Without it: all.", metavar="ARM")
    ] = None,
    competition: Annotated[
        list[str] | None,
        typer.Option("--competition", "-c", help=FOR_ALL + "a competition; may be repeated.", metavar="ID"),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", "-s", help=FOR_ALL + "all competitions of a split.", metavar="NAME")
    ] = None,
    edition: Annotated[
        int | None, typer.Option("--edition", "-e", help=FOR_ALL + "their edition.", min=1, metavar="N")
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin", "-p", help=FOR_ALL + "an agent, asked for the models of those it replaces.", metavar="AGENT"
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=FOR_ALL + "the model.", metavar="NAME")] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", "-n", help=FOR_ALL + "repetitions.", min=1, metavar="N")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit", "-t", help=FOR_ALL + "wall-clock time of one run.", parser=duration, metavar="DURATION"
        ),
    ] = None,
    memory_limit: Annotated[
        int | None,
        typer.Option("--memory-limit", help=FOR_ALL + "memory of one run.", parser=size, metavar="SIZE"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help=FOR_ALL + "steps that agents are told.", min=1, metavar="N")
    ] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", help=FOR_ALL + "GPUs of one run.", min=0, metavar="N")] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost", help=FOR_ALL + "US dollars of one run.", parser=parsed_by(parse_count), metavar="USD"
        ),
    ] = None,
    max_tokens: Annotated[
        float | None,
        typer.Option("--max-tokens", help=FOR_ALL + "tokens of one run.", parser=parsed_by(parse_count), metavar="N"),
    ] = None,
    runner: Annotated[
        str | None, typer.Option("--runner", "-r", help=FOR_ALL + "where a run happens.", metavar="ID")
    ] = None,
    engine: Annotated[str | None, typer.Option("--engine", help=FOR_ALL + "how runs are spread.", metavar="ID")] = None,
    engine_settings: Annotated[
        list[str] | None,
        typer.Option("--engine-set", help=FOR_ALL + "a setting of the engine; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", help=FOR_ALL + "where the Ray cluster is.", metavar="ADDRESS")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", help=FOR_ALL + "the base image of containers.", metavar="REF")
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option("--retries", help=FOR_ALL + "attempts after failures not the agent's.", min=0, metavar="N"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help=FOR_ALL + "a setting, agent.KEY=VALUE; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    workers: Workers = None,
    output: Annotated[
        Path,
        option(
            "--output", "-o", help="The study becomes a directory in it, each arm a run group in that.", metavar="DIR"
        ),
    ] = Path("runs"),
    data_dir: DataDir = None,
    dry_run: Annotated[
        bool, option("--dry-run", help="Show the arms and what they take at most; start nothing.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run a study: named arms from a file, each a run group; a second call does what is left.

    Ends with a table of the arms side by side. Exits with 1 where a run has no result or failed through no fault of its
    agent, or with --dry-run where an arm cannot be started here. Ctrl-C once: stop after saving.
    """
    from mleb_core.layout import default_data_dir
    from mleb_core.registry import Registry
    from mleb_core.sweep_models import read_study

    with stdout_kept():
        study = read_study(file, _options(context), tuple(only or ()))
        registry = Registry()
    if dry_run:
        _dry_run(study, registry, data_dir or default_data_dir(), output, as_json=as_json)
    else:
        _run(study, registry, data_dir or default_data_dir(), output, workers=workers, as_json=as_json)


def _options(context: typer.Context) -> "ArmOptions":
    """The options that the command line itself gives for all arms; a study does not change with its surroundings.

    Raises:
        UsageError: an agent or a setting that is none.
    """
    from mleb.commands.eval import parse_engine_settings, parse_settings
    from mleb_core.sweep_models import options_given

    found: dict[str, Any] = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if name not in OWN and source is not None and source.name == "COMMANDLINE":
            if name == "settings":
                found["set"] = parse_settings(value)
            elif name == "engine_settings":
                found["engine_set"] = parse_engine_settings(value)
            else:
                found[name] = value
    return options_given(found)


def _dry_run(study: "Study", registry: "Registry", data_dir: Path, output: Path, *, as_json: bool) -> None:
    from mleb_core.report.formats import to_json
    from mleb_core.sweep import plan_sweep

    with stdout_kept():
        plan = plan_sweep(study, registry, data_dir=data_dir, output=output)
    if as_json:
        print_json_text(to_json(plan))
    else:
        from mleb.studies import show_sweep_plan

        show_sweep_plan(plan)
    if any(arm.problem for arm in plan.arms):
        raise typer.Exit(1)


def _run(
    study: "Study", registry: "Registry", data_dir: Path, output: Path, *, workers: int | None, as_json: bool
) -> None:
    """Carry a study out, show it, and end with the exit code that tells."""
    from mleb.commands.eval import fell_short
    from mleb.render import Progress
    from mleb.signals import Interruptible
    from mleb_core.report.formats import to_json
    from mleb_core.sweep import run_sweep

    with (
        stdout_kept(),
        Progress() as progress,
        Interruptible(progress.set_note, lambda: progress.directory is not None) as interruptible,
    ):

        def on_arm(arm: str, left: int, runs: int) -> dict[str, Any]:
            progress.begin_again()
            progress.on_notice(f"arm {arm}: {left} of {runs} runs to do" if left else f"arm {arm}: done before")
            return {name: getattr(progress, name) for name in ("on_change", "on_notice", "on_group")}

        report, groups = run_sweep(
            study,
            registry,
            data_dir=data_dir,
            output=output,
            workers=workers,
            stop=interruptible.stop,
            on_arm=on_arm,
        )
    if as_json:
        print_json_text(to_json(report))
    else:
        from mleb.studies import show_study

        show_study(report)
    again = "to go on: the same `mleb sweep` again"
    if interruptible.signal is not None:
        print_notice(again)
        raise typer.Exit(128 + interruptible.signal)
    print_notice(f"report: {output / study.name}")
    if report.not_begun or any(fell_short(group) for group in groups.values()):
        print_notice(again)
        raise typer.Exit(1)
