"""Normalised scores of runs: the sample submission is 0, gold is 1."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mleb_core.report.models import RunReport

__all__ = ["CompetitionScore", "normalised", "scores_by_agent"]


@dataclass(frozen=True)
class CompetitionScore:
    """An agent on a competition."""

    competition: str
    """Its label."""
    score: float
    """Mean of the normalised scores of its runs with a valid submission."""
    runs: int
    """How many these are."""
    left_out: int
    """Runs without a valid submission."""


def normalised(score: float, sample: float, gold: float) -> float | None:
    """(score - sample) / (gold - sample): 0 for the sample submission, 1 for the gold threshold, in either direction.

    Below 0 is worse than the sample; above 1 is better than gold. None where the sample's score is gold's, or one of
    the three is no finite number.
    """
    if not all(map(math.isfinite, (score, sample, gold))) or gold == sample:
        return None
    return (score - sample) / (gold - sample)


def scores_by_agent(
    reports: Iterable[RunReport], sample_score: Callable[[str], float | None]
) -> dict[str, list[CompetitionScore]]:
    """The scores of each agent, by competition; competitions without a valid submission or sample score are left out.

    Args:
        reports: of runs.
        sample_score: the score of a competition's sample submission, by its label; asked once for each competition.
    """
    valid: dict[tuple[str, str], list[float]] = defaultdict(list)
    left_out: dict[tuple[str, str], int] = defaultdict(int)
    samples: dict[str, float | None] = {}
    for report in reports:
        label, found = report.key.competition, report.competition_report
        if label not in samples:
            samples[label] = sample_score(label)
        sample = samples[label]
        value = None
        if found is not None and found.score is not None and sample is not None:
            value = normalised(found.score, sample, found.gold_threshold)
        if value is None:
            left_out[report.key.agent, label] += 1
        else:
            valid[report.key.agent, label].append(value)
    agents: dict[str, list[CompetitionScore]] = defaultdict(list)
    for (agent, label), values in valid.items():
        mean = math.fsum(values) / len(values)
        agents[agent].append(CompetitionScore(label, mean, len(values), left_out[agent, label]))
    return dict(agents)
