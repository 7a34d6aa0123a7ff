"""`mleb status`: how a run group goes."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mleb.options import AsJson, Config
from mleb.output import clean, print_json, print_line, stdout_kept

if TYPE_CHECKING:
    from mleb_core.status import GroupStatus

__all__ = ["register"]

SHOWN = 40
"""Runs under way that are listed."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status_command)


def status_command(
    group: Annotated[Path, typer.Argument(help="Directory of a run group.", metavar="GROUP")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show how a run group goes: queue, places, costs, estimated end.

    Works for every engine, from any shell that sees the directory, whether a mleb is at work on the group or not.
    """
    from mleb_core.status import group_status

    with stdout_kept():
        status = group_status(group)
    if as_json:
        print_json(status.model_dump(mode="json"))
    else:
        _show(status)


def _show(status: "GroupStatus") -> None:
    from mleb.render import show_table
    from mleb.units import format_count, format_duration

    work = "a mleb is at work on it" if status.at_work else "nobody is at work on it"
    print_line(clean(f"{status.group}: {work}; engine {status.engine}, runner {status.runner}"))
    counts = ", ".join(f"{count:,} {name}" for name, count in status.by_status.items())
    print_line(f"{status.settled:,} of {status.asked:,} runs done, {status.waiting:,} waiting: {counts}")
    if status.failures:
        print_line(f"{status.failures:,} tries failed through no fault of an agent")
    print_line(_costs(status, format_count(status.tokens)))
    if status.mean_s is not None:
        print_line(f"a run took {format_duration(status.mean_s)} on average")
    for name, text in (("estimated end", status.estimated_end), ("at the latest", status.latest_end)):
        if text is not None:
            print_line(f"{name}: {datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S %Z}")
    hosts = ", ".join(f"{clean(host)}: {count:,}" for host, count in sorted(status.hosts.items()))
    if hosts:
        print_line(f"runs by machine: {hosts}")
    rows = [
        [
            str(run.key),
            run.status if status.at_work else f"cut off while {run.status}",
            run.attempt,
            format_duration(run.seconds) if run.seconds is not None and status.at_work else "",
            clean(run.host or ""),
            clean(" ".join(run.gpus)),
        ]
        for run in status.under_way[:SHOWN]
    ]
    if rows:
        print_line()
        show_table(["RUN", "STATUS", "ATTEMPT", "TIME", "MACHINE", "GPUS"], rows)
    if (more := len(status.under_way) - len(rows)) > 0:
        print_line(f"and {more:,} more; --json lists all")


def _costs(status: "GroupStatus", tokens: str) -> str:
    """What models cost so far, beside the group's budget."""
    budget = status.group_budget
    unknown = f" and {status.unpriced:,} calls of unknown price" if status.unpriced else ""
    told = f"models: {status.requests:,} calls, {tokens} tokens, ${status.known_cost_usd:.2f}{unknown}"
    limits = [
        f"{budget.requests:,} calls" if budget.requests is not None else "",
        f"{budget.tokens:,} tokens" if budget.tokens is not None else "",
        f"${budget.cost_usd:.2f}" if budget.cost_usd is not None else "",
    ]
    shown = ", ".join(limit for limit in limits if limit)
    return f"{told}; the group may use {shown}" if shown else told
