"""`mleb compare`: two agents against each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mleb.options import AsJson, Config, option
from mleb.output import print_json_text, print_notice, stdout_kept
from mleb_core.errors import UsageError

if TYPE_CHECKING:
    from mleb_core.report.models import GroupReport

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare")(compare_command)


def compare_command(
    group_a: Annotated[Path, typer.Argument(help="Directory of a run group: A.", metavar="GROUP_A")],
    group_b: Annotated[Path, typer.Argument(help="Directory of another, or the same: B.", metavar="GROUP_B")],
    *,
    agent_a: Annotated[
        str | None, option("--agent-a", help="Agent of A, where it has several.", metavar="AGENT")
    ] = None,
    agent_b: Annotated[
        str | None, option("--agent-b", help="Agent of B, where it has several.", metavar="AGENT")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Compare two agents, run by run of the same competition and seed.

    Gives the difference in any-medal percentage, its 95 % interval by a paired bootstrap over competitions and seeds,
    p by a permutation test, and each competition. What only one side was asked is named and left out; a run without a
    verdict counts as one without a medal. Exits with 1 where a run is there but cannot be read.
    """
    from mleb_core.report.build import group_report
    from mleb_core.report.collect import collect_group, unreadable_runs
    from mleb_core.report.formats import to_json
    from mleb_core.report.statistics.comparison import compare

    with stdout_kept():
        a, b = (group_report(*collect_group(directory), directory=directory) for directory in (group_a, group_b))
        comparison = compare(a, _agent(a, agent_a, "--agent-a"), b, _agent(b, agent_b, "--agent-b"))
    if as_json:
        print_json_text(to_json(comparison))
    else:
        from mleb.figures import show_comparison

        show_comparison(comparison)
    unreadable = list(dict.fromkeys(line for report in (a, b) for line in unreadable_runs(report)))
    for line in unreadable:
        print_notice(line)
    if unreadable:
        raise typer.Exit(1)


def _agent(report: "GroupReport", wanted: str | None, flag: str) -> str:
    """The agent asked for, or the only one."""
    agents = report.group.agents
    if wanted is not None:
        return wanted
    if len(agents) > 1:
        raise UsageError(f"{report.group.name} has several agents; choose one with {flag}: {', '.join(agents)}")
    return agents[0]
