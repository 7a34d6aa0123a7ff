"""What a medal costs: money for models, and time."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mleb_core.report.statistics.models import CostFigures

__all__ = ["RunCost", "cost_figures"]


@dataclass(frozen=True)
class RunCost:
    """What one run took; None: not known."""

    medal: bool
    """Whether it has a medal."""
    runtime_s: float | None = None
    """Wall-clock seconds of the agent."""
    cost_usd: float | None = None
    """US dollars for models, those of known price."""
    unpriced: bool = False
    """Whether some of its models' exchanges have no known price, so that it cost more."""
    tokens: int | None = None
    """Tokens of models, input and output."""
    steps: int | None = None
    """Steps of the agent."""


def cost_figures(runs: Iterable[RunCost], asked: int) -> CostFigures:
    """Money and time of all runs, those without a medal included, and the same divided by the number of medals.

    Cost per medal = sum over all runs / runs with a medal: what one must spend, on average, for one medal to come out.
    Runs whose time or usage is not known take part with nothing, and the figure says how many it rests on.

    Args:
        runs: those that are there.
        asked: number of runs asked for.
    """
    all_runs = list(runs)
    medals = sum(run.medal for run in all_runs)
    times = [run.runtime_s for run in all_runs if run.runtime_s is not None]
    costs = [run.cost_usd for run in all_runs if run.cost_usd is not None]
    tokens = [run.tokens for run in all_runs if run.tokens is not None]
    steps = [run.steps for run in all_runs if run.steps is not None]
    seconds = math.fsum(times) if times else None
    dollars = math.fsum(costs) if costs else None
    return CostFigures(
        asked=asked,
        medals=medals,
        runs_with_time=len(times),
        time_s=seconds,
        time_s_per_medal=seconds / medals if seconds is not None and medals else None,
        runs_with_usage=len(costs),
        cost_usd=dollars,
        cost_usd_per_medal=dollars / medals if dollars is not None and medals else None,
        runs_unpriced=sum(run.unpriced for run in all_runs),
        tokens=sum(tokens) if tokens else None,
        runs_with_steps=len(steps),
        steps=sum(steps) if steps else None,
    )
