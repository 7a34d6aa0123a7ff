"""Figures over competitions and seeds, a subject a file; docs/statistics.md has the definitions in one place.

    basic.py        percentage, mean, standard error, Student's t interval
    grid.py         an agent's medals by (competition, seed), missing runs included
    bootstrap.py    two-level bootstrap over competitions and seeds
    permutation.py  paired permutation test
    passk.py        pass@k
    published.py    the published aggregation and the leaderboard's row
    comparison.py   two agents compared
    overtime.py     scores and medals over time
    cost.py         money and time for a medal
    models.py       what comes out of bootstrap, pass@k, overtime and cost
    figures.py      these for a group, from its directory

Everything goes by (competition, seed), nothing by position; a run without a verdict counts as one without a medal.
"""

from mleb_core.report.statistics.basic import estimate, mean, percentage, standard_error, t_interval

__all__ = ["estimate", "mean", "percentage", "standard_error", "t_interval"]
