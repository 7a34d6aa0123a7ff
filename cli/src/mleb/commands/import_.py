"""`mleb import`: results of other harnesses."""

from pathlib import Path
from typing import Annotated

import typer

from mleb.options import AsJson, Config, Split, option
from mleb.output import print_json, print_notice, stdout_kept

__all__ = ["register"]

SHOWN = 10
"""Notes that are shown of each group; --json has all."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_command)


def import_command(
    source: Annotated[
        Path,
        typer.Argument(help="A run group's directory, a directory of them, or a grading_report.json.", metavar="DIR"),
    ],
    *,
    output: Annotated[Path, option("--output", "-o", help="Where run groups are kept.", metavar="DIR")] = Path("runs"),
    agent: Annotated[
        str | None, option("--agent", help="Agent id; as the directories are named where absent.", metavar="AGENT")
    ] = None,
    split: Split = None,
    expect_seeds: Annotated[
        int | None, option("--expect-seeds", help="Seeds that were asked for.", min=1, metavar="N")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make run groups of another harness's results, in MLE-bench's layout.

    Reads TIME_run-group_AGENT/ with its grading report, metadata.json and submission.jsonl; run groups of one
    experiment in run_group_experiments.csv become the seeds of one run group. With --split and --expect-seeds, what is
    missing of them is shown as missing. docs/formats.md tells more.
    """
    from mleb_core.report.importing import import_groups

    with stdout_kept():
        competitions: list[str] = []
        if split is not None:
            from mleb_core.registry import Registry

            competitions = [competition.label for competition in Registry().split(split)]
        groups = import_groups(source, output, agent=agent, split=split, competitions=competitions, seeds=expect_seeds)
    if as_json:
        print_json(
            [
                {
                    "directory": str(group.directory),
                    "origin": group.origin,
                    "sources": list(group.sources),
                    "agents": list(group.report.group.agents),
                    "seeds": group.report.group.seeds,
                    "counts": group.report.counts.model_dump(mode="json"),
                    "notes": list(group.notes),
                }
                for group in groups
            ]
        )
    else:
        from mleb.render import show_table

        show_table(
            ["group", "agent", "competitions", "seeds", "runs", "graded", "missing"],
            [
                [
                    group.directory, group.report.group.agents[0], len(group.report.group.competitions),
                    group.report.group.seeds, group.report.counts.asked, group.report.counts.graded,
                    group.report.counts.missing,
                ]
                for group in groups
            ],
        )  # fmt: skip
    for group in groups:
        for line in group.notes[:SHOWN]:
            print_notice(line)
        if len(group.notes) > SHOWN:
            print_notice(f"and {len(group.notes) - SHOWN} more such lines about {group.origin}")
