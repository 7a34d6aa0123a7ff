"""Published results of agents, to compare with: the rows of the public leaderboard, and the paper's own."""

import json
import math
from functools import cache
from importlib.resources import files
from typing import Literal

from mleb_core.errors import UnknownIdError
from mleb_core.report.models import Estimate, Report
from mleb_core.report.statistics.published import SPLITS, PublishedRow

__all__ = ["Against", "AgainstColumn", "AgainstReport", "Standing", "against", "standing_named", "standings"]

Figure = tuple[float, float]


class Standing(Report):
    """One published row. Figures are any-medal percentages: mean and standard error over the seeds."""

    id: str
    """Its name here."""
    source: Literal["leaderboard", "paper"]
    """Where it was published: the public leaderboard as of 2026-02, or the paper (arXiv 2410.07095)."""
    agent: str
    """The scaffold, in the words of the source."""
    models: str
    """The models, in the words of the source."""
    low: Figure
    """On the 22 competitions of low complexity (Lite)."""
    medium: Figure
    """On the 38 of medium complexity."""
    high: Figure
    """On the 15 of high complexity."""
    all: Figure
    """On all 75."""
    hours: float
    """Time limit of a run."""
    date: str
    """When it was published, YYYY-MM-DD."""
    leakage_reported: bool | None = None
    """Whether the leaderboard says that test data leaked; None: it does not say."""
    source_available: bool | None = None
    """Whether the agent's source is public."""
    padded_seeds: bool | None = None
    """Whether incomplete seeds were filled up with failing runs."""

    def figure(self, split: str) -> Figure:
        """Mean and standard error on a split.

        Args:
            split: one of `SPLITS`.
        """
        figures = {"low": self.low, "medium": self.medium, "high": self.high, "all": self.all}
        return figures[split]


class AgainstColumn(Report):
    """A row of ours beside a published one, on one split."""

    split: str
    """Name of the split."""
    published: Figure
    """Mean and standard error that were published."""
    ours: Estimate | None
    """Ours; None where the group has no figure for the split."""
    runs: int
    """Runs that ours is taken over, those that are missing or were never asked for included; 0 where there is none."""
    graded: int
    """Those of them with a verdict."""
    difference: float | None
    """Ours minus published, in points."""
    difference_standard_error: float | None
    """sqrt(SE^2 + SE^2), the two taken as independent; None for a single seed of ours."""


class Against(Report):
    """An agent of a group beside a published row."""

    group: str
    """Name of the run group."""
    agent: str
    """Agent id."""
    standing: str
    """Id of the published row."""
    columns: tuple[AgainstColumn, ...]
    """By split."""


class AgainstReport(Report):
    """What `mleb report --against NAME --json` gives."""

    format_version: Literal[1] = 1
    """Version of this format."""
    standing: Standing
    """The published row."""
    rows: tuple[Against, ...]
    """Agents, groups in the order given."""


@cache
def standings() -> tuple[Standing, ...]:
    """All published rows, those of the leaderboard first, best first."""
    document = json.loads(files("mleb_core.report").joinpath("standings.json").read_bytes())
    return tuple(Standing.model_validate(row) for row in document["rows"])


def standing_named(name: str) -> Standing:
    """A published row by id; `paper` is the paper's best setup.

    Raises:
        UnknownIdError: there is none of that name.
    """
    found = {row.id: row for row in standings()}
    name = "paper-aide-o1-preview" if name == "paper" else name
    if name not in found:
        raise UnknownIdError("published result", name, [*found, "paper"])
    return found[name]


def against(row: PublishedRow, standing: Standing) -> Against:
    """One of our rows beside a published one.

    Of a published row only mean and standard error are known, not the runs: so there is no paired comparison, just the
    difference and the standard error of a difference of independent means.

    Args:
        row: of `published_report`.
        standing: the published one.
    """
    ours = {result.split: result for result in row.splits}
    columns = []
    for split in SPLITS:
        mean, error = standing.figure(split)
        result = ours.get(split)
        estimate = result.any_medal_percentage if result else None
        known = estimate.standard_error if estimate else None
        columns.append(
            AgainstColumn(
                split=split,
                published=(mean, error),
                ours=estimate,
                runs=result.runs if result and estimate else 0,
                graded=result.graded if result and estimate else 0,
                difference=estimate.mean - mean if estimate else None,
                difference_standard_error=math.hypot(known, error) if known is not None else None,
            )
        )
    return Against(
        group=row.group,
        agent=row.agent,
        standing=standing.id,
        columns=tuple(columns),
    )
