"""Which prediction goes with which truth: candidate pairs, and greedy claims in order."""

from collections.abc import Callable, Collection, Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["claims", "group_pairs"]

Ints = npt.NDArray[np.int64]
Fit = Callable[[Ints, Ints], npt.NDArray[np.float64]]
_PAIRS = 2_000_000  # looked at at a time: bounds the memory, whatever is handed in


def group_pairs(left: Ints, right: Ints) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of positions whose groups are equal, some at a time.

    Pairs come in the order of the left positions and, for each, of the right ones. A left position's pairs are never
    cut.

    Args:
        left: group of each left item, shape (n,).
        right: group of each right item, shape (m,).

    Yields:
        (left positions, right positions), of the same length.
    """
    order = np.argsort(right, kind="stable").astype(np.int64)
    groups = right[order]
    begin = np.searchsorted(groups, left, side="left")
    count = np.searchsorted(groups, left, side="right") - begin
    total = np.concatenate([[0], np.cumsum(count)])
    at = 0
    while at < len(left):
        end = max(at + 1, int(np.searchsorted(total, total[at] + _PAIRS, side="right")) - 1)
        counts = count[at:end]
        position = np.arange(total[end] - total[at], dtype=np.int64)
        position += np.repeat(begin[at:end] - (total[at:end] - total[at]), counts)
        yield np.repeat(np.arange(at, end, dtype=np.int64), counts), order[position]
        at = end


def claims(
    left: Ints,
    right: Ints,
    fit: Fit,
    *,
    above: float,
    inclusive: bool = False,
    later_wins: bool = False,
    leaves_free: Collection[int] = (),
) -> dict[int, int]:
    """Let each left item, in order, claim the right item of its group that fits best and is still free.

    Args:
        left: group of each left item, shape (n,).
        right: group of each right item, shape (m,).
        fit: how well pairs fit, `fit(left positions, right positions)`, the larger the better.
        above: pairs that fit no better than this are no candidates.
        inclusive: whether they are if they fit exactly so.
        later_wins: which of right items that fit equally is claimed: the last one, else the first.
        leaves_free: left items whose claim leaves the right item free for others.

    Returns:
        The right item of each left item that got one, by position.
    """
    result: dict[int, int] = {}
    used: set[int] = set()
    for a, b in group_pairs(left, right):
        value = fit(a, b)
        near = value >= above if inclusive else value > above
        best, best_value, current = -1, 0.0, -1
        for i, j, v in (*zip(a[near].tolist(), b[near].tolist(), value[near].tolist(), strict=True), (-1, -1, 0.0)):
            if i != current:
                if best >= 0:
                    result[current] = best
                    if current not in leaves_free:
                        used.add(best)
                current, best = i, -1
            if j >= 0 and j not in used and (best < 0 or v > best_value or (later_wins and v == best_value)):
                best, best_value = j, v
    return result
