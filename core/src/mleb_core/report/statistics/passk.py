"""pass@k: is there a medal among k attempts?"""

import math
from collections.abc import Sequence

from mleb_core.report.statistics.basic import mean
from mleb_core.report.statistics.grid import MedalGrid
from mleb_core.report.statistics.models import PassAtK

__all__ = ["pass_at_k", "pass_at_ks"]


def pass_at_k(attempts: int, passed: int, k: int) -> float:
    """Unbiased estimate of the probability that at least one of k attempts passes: 1 - C(n - c, k) / C(n, k).

    Chen et al., "Evaluating large language models trained on code" (arXiv 2107.03374, 2021), section 2.1.

    Args:
        attempts: n, attempts made.
        passed: c, how many of them passed.
        k: attempts that are looked at.

    Raises:
        ValueError: unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= passed <= attempts and 1 <= k <= attempts):
        raise ValueError(f"no pass@{k} of {passed} in {attempts}")
    return 1 - math.comb(attempts - passed, k) / math.comb(attempts, k)


def pass_at_ks(grid: MedalGrid) -> tuple[PassAtK, ...]:
    """pass@k for each k up to the number of seeds, in percent, the mean over the competitions asked for.

    An attempt passes with a medal of any colour. A run without a verdict is an attempt that did not pass. Empty for a
    single seed, where pass@1 is the any-medal percentage itself.
    """
    seeds = len(grid.seeds)
    if seeds < 2:
        return ()
    counts: Sequence[int] = [sum(row) for row in grid.rows()]
    return tuple(
        PassAtK(k=k, percentage=100 * mean([pass_at_k(seeds, count, k) for count in counts]), attempts=seeds)
        for k in range(1, seeds + 1)
    )
