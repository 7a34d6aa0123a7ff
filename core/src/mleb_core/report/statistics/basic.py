"""Figures over competitions and seeds.

The headline of MLE-bench (arXiv 2410.07095, section 3) is the percentage of competitions in which an agent
earns any medal, taken for each seed over all competitions, then given as mean and standard error over the seeds.
"""

import math
import statistics
from collections.abc import Sequence

from mleb_core.report.models import Estimate

__all__ = ["estimate", "mean", "percentage", "standard_error", "t_interval"]


def percentage(part: int, whole: int) -> float:
    """100 * part / whole.

    Args:
        part: number of runs with some property.
        whole: number of runs asked for; those that are missing are in it.

    Raises:
        ValueError: unless 0 <= part <= whole and whole >= 1.
    """
    if not (0 <= part <= whole and whole >= 1):
        raise ValueError(f"no percentage of {part} in {whole}")
    return 100 * part / whole


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, exactly summed.

    Args:
        values: one or more finite numbers.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("the mean needs at least one value")
    return math.fsum(values) / len(values)


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean, s / sqrt(n) with s the sample standard deviation (ddof=1: n - 1 in the divisor).

    As the MLE-bench paper gives it over seeds. None for a single value, of which the spread is not known.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("the standard error needs at least one value")
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def t_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Interval of the mean by Student's t: mean -+ t(1 - (1 - confidence) / 2; n - 1) * standard error.

    Student, "The probable error of a mean", Biometrika 6 (1908). It takes the values as independent draws from
    one normal distribution; with few seeds of a percentage that is rough, and the ends may leave 0 to 100.
    None for a single value.

    Raises:
        ValueError: no values, or a confidence that is not between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, got {confidence}")
    error = standard_error(values)
    if error is None:
        return None
    if error == 0:
        return mean(values), mean(values)
    from scipy.special import stdtrit  # scipy costs 100 ms; a single seed does without

    reach = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * error
    return mean(values) - reach, mean(values) + reach


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, standard error and 95 % interval of a quantity measured once a seed.

    Raises:
        ValueError: no values.
    """
    return Estimate(
        mean=mean(values), standard_error=standard_error(values), interval=t_interval(values), seeds=len(values)
    )
