"""An agent's medals by (competition, seed): what every other figure is taken from."""

from collections.abc import Mapping
from dataclasses import dataclass

from mleb_core.errors import UnknownIdError
from mleb_core.report.models import GroupReport
from mleb_core.report.statistics.basic import percentage

__all__ = ["MedalGrid", "medal_grid"]


@dataclass(frozen=True)
class MedalGrid:
    """The runs that were asked of one agent, competitions x seeds."""

    competitions: tuple[str, ...]
    """Labels, in the order asked for."""
    seeds: tuple[int, ...]
    """Repetition indices, ascending."""
    verdicts: Mapping[tuple[str, int], bool]
    """Whether a run has a medal, by (competition, seed); runs without a verdict are not in it."""

    @property
    def asked(self) -> int:
        """Runs asked for."""
        return len(self.competitions) * len(self.seeds)

    @property
    def graded(self) -> int:
        """Runs with a verdict."""
        return sum((c, s) in self.verdicts for c in self.competitions for s in self.seeds)

    @property
    def medals(self) -> int:
        """Runs with a medal."""
        return sum(map(sum, self.rows()))

    def medal(self, competition: str, seed: int) -> bool:
        """Whether a run has a medal; one without a verdict has none."""
        return self.verdicts.get((competition, seed), False)

    def rows(self) -> list[list[bool]]:
        """Medals: competitions x seeds, in the order of `competitions` and `seeds`."""
        return [[self.medal(competition, seed) for seed in self.seeds] for competition in self.competitions]

    def seed_percentages(self) -> list[float]:
        """Competitions with a medal, in percent, for each seed."""
        return [
            percentage(sum(self.medal(c, seed) for c in self.competitions), len(self.competitions))
            for seed in self.seeds
        ]


def medal_grid(report: GroupReport, agent: str) -> MedalGrid:
    """The medals of one agent of a group.

    Raises:
        UnknownIdError: the group did not ask for that agent.
    """
    if agent not in report.group.agents:
        raise UnknownIdError(f"agent of {report.group.name}", agent, report.group.agents)
    verdicts = {
        (run.key.competition, run.key.seed): run.competition_report.any_medal
        for run in report.runs
        if run.key.agent == agent and run.competition_report is not None and run.competition_report.graded
    }
    return MedalGrid(report.group.competitions, tuple(range(report.group.seeds)), verdicts)
