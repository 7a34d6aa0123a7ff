"""Whether a field that stands with test ids gives a target away. Each test is a count, no model is fitted.

equal        the field is the target, as text or number, for at least 95 % of the ids; for few ids for all of them,
             where the same answers have at least 10,000 orders
renamed      field and target determine each other, and values recur
determined   values recur, and each of them has one target (leave-one-out accuracy of at least 99 %)
ordered      |Spearman's rank correlation| is at least 0.9995; for two classes the area under the ROC curve
missing      where the field is there (or is not), the target is always the same, which is unlikely to be chance:
             the class's share to the power of the number of such rows is below one in a million
follows      for what should say nothing (row order, file size, time, id): |rank correlation| of at least 0.3 (two
             classes: an area under the curve beyond 0.67 or below 0.33) that chance gives less than once in 10^9
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mleb_leaks.truth import as_number, is_missing

__all__ = ["CHANCE", "Verdict", "follows", "judge"]

_FEWEST = 10
CHANCE = 1e-6
_ARRANGED = math.log(1e4)


@dataclass(frozen=True)
class Verdict:
    """How a field gives a target away."""

    how: str
    """Which of the tests."""
    words: str
    """The same as the end of a sentence about the field."""
    rows: tuple[int, ...]
    """Positions of ids that show it, the most telling first."""
    figures: dict[str, Any]
    """What was counted."""


def judge(values: Mapping[int, Any], target: Sequence[str]) -> Verdict | None:
    """Look at a field.

    Args:
        values: by position of the id: a text or a number.
        target: the answers by position.
    """
    there = sorted(values)
    if len(there) < 3:
        return None
    x = [_text(values[position]) for position in there]
    y = [target[position] for position in there]
    classes = Counter(y)
    if len(classes) < 2:
        return None
    return (
        _equal(there, x, y, classes)
        or _determined(there, x, y, classes)
        or _ordered(there, x, y, classes)
        or _missing(there, x, y, classes)
    )


def follows(values: Mapping[int, float], target: Sequence[str], *, least: float = 0.3) -> Verdict | None:
    """Look at something that should say nothing about the target, such as a file's size.

    Args:
        values: numbers by position of the id.
        target: the answers by position.
        least: strength from which on it is told: |rank correlation|, or its likes for classes.
    """
    there = sorted(values)
    y = [target[position] for position in there]
    classes = Counter(y)
    if len(there) < 30 or len(set(values.values())) < 5 or len(classes) < 2:
        return None
    from scipy import stats

    x = [float(values[position]) for position in there]
    numbers = [as_number(text) for text in y]
    if len(classes) == 2:
        first, second = classes
        a = [v for v, c in zip(x, y, strict=True) if c == first]
        b = [v for v, c in zip(x, y, strict=True) if c == second]
        if min(len(a), len(b)) < 10:
            return None
        result = stats.mannwhitneyu(a, b)
        area = float(result.statistic) / (len(a) * len(b))
        strength, chance = abs(2 * area - 1), float(result.pvalue)
        figures = {"area_under_curve": round(max(area, 1 - area), 4)}
    elif all(number is not None for number in numbers) and len(classes) > 10:
        found = stats.spearmanr(x, [number for number in numbers if number is not None])
        strength, chance = abs(float(found.statistic)), float(found.pvalue)
        figures = {"rank_correlation": round(float(found.statistic), 4)}
    elif len(classes) <= 50:
        groups = [[v for v, c in zip(x, y, strict=True) if c == name] for name, n in classes.items() if n >= 5]
        if len(groups) < 2:
            return None
        ranked = stats.kruskal(*groups)
        count = sum(map(len, groups))
        explained = max(0.0, (float(ranked.statistic) - len(groups) + 1) / max(1, count - len(groups)))
        most = 1 - sum(len(group) ** 3 for group in groups) / count**3  # where no two classes overlap
        strength, chance = math.sqrt(min(1.0, explained / most)), float(ranked.pvalue)
        figures = {"share_explained": round(explained, 4)}
    else:
        return None
    if not strength >= least or not chance < 1e-9:
        return None
    return Verdict("follows", "follows the target", tuple(there[:3]), {**figures, "ids": len(there)})


def _equal(there: Sequence[int], x: Sequence[str], y: Sequence[str], classes: Counter[str]) -> Verdict | None:
    same = [position for position, a, b in zip(there, x, y, strict=True) if _alike(a, b)]
    expected = max(classes.values()) / len(y)
    rich = len(classes) > 0.8 * len(y) and all(len(text) >= 4 for text in classes)
    whole = len(same) == len(y)
    if whole and (rich or _arrangements(classes) > _ARRANGED):
        pass  # no other order of the same answers would do
    elif len(y) < _FEWEST or len(same) < 0.95 * len(y) or expected > 0.9 or expected ** len(same) > CHANCE:
        return None
    figures = {"equal": len(same), "of": len(y)}
    return Verdict("equal", f"is the answer for {len(same)} of {len(y)} test ids", tuple(same), figures)


def _arrangements(classes: Counter[str]) -> float:
    """The logarithm of the number of orders that as many answers of each class can have."""
    return math.lgamma(sum(classes.values()) + 1) - sum(math.lgamma(n + 1) for n in classes.values())


def _determined(there: Sequence[int], x: Sequence[str], y: Sequence[str], classes: Counter[str]) -> Verdict | None:
    """By what recurs: how often the other rows with the same value tell a row's target."""
    by_value: dict[str, Counter[str]] = defaultdict(Counter)
    for a, b in zip(x, y, strict=True):
        by_value[a][b] += 1
    recurring = {a: found for a, found in by_value.items() if sum(found.values()) >= 2}
    count = sum(sum(found.values()) for found in recurring.values())
    if count < max(20, 0.9 * len(y)) or len(by_value) < 2 or len(by_value) > len(y) / 4:
        return None
    right = 0
    for found in recurring.values():
        for name, number in found.items():
            rest = found - Counter({name: 1})
            if rest and rest.most_common(1)[0][0] == name:
                right += number
    expected = max(classes.values()) / len(y)
    if right < 0.99 * count or expected > 0.9 or expected**count > CHANCE:
        return None
    back: dict[str, set[str]] = defaultdict(set)
    for a, found in recurring.items():
        for name in found:
            back[name].add(a)
    renamed = all(len(found) == 1 for found in by_value.values()) and all(len(names) == 1 for names in back.values())
    words = "is the answer in other words" if renamed else "tells the answer"
    figures = {"told": right, "of": count, "most_frequent_answer": round(expected, 4)}
    how = "renamed" if renamed else "determined"
    return Verdict(how, f"{words} for {right} of {count} test ids", tuple(there[:5]), figures)


def _ordered(there: Sequence[int], x: Sequence[str], y: Sequence[str], classes: Counter[str]) -> Verdict | None:
    pairs = [(a, b) for a, b in ((as_number(a), as_number(b)) for a, b in zip(x, y, strict=True)) if None not in (a, b)]
    if len(pairs) < max(30, 0.95 * len(y)) or len({a for a, _ in pairs}) < 5:
        return None
    from scipy import stats

    numbers = [(float(a), float(b)) for a, b in pairs if a is not None and b is not None]
    if len(classes) == 2:
        low = min(b for _, b in numbers)
        zeros, ones = [a for a, b in numbers if b == low], [a for a, b in numbers if b != low]
        if min(len(zeros), len(ones)) < 10:
            return None
        area = float(stats.mannwhitneyu(ones, zeros).statistic) / (len(ones) * len(zeros))
        strength, figures = abs(2 * area - 1), {"area_under_curve": round(area, 5), "ids": len(numbers)}
    elif len(classes) > 10:
        rho = float(stats.spearmanr([a for a, _ in numbers], [b for _, b in numbers]).statistic)
        strength, figures = abs(rho), {"rank_correlation": round(rho, 5), "ids": len(numbers)}
    else:
        return None
    if not strength >= 0.9995:
        return None
    return Verdict("ordered", "orders the test ids as the answers do", tuple(there[:5]), figures)


def _missing(there: Sequence[int], x: Sequence[str], y: Sequence[str], classes: Counter[str]) -> Verdict | None:
    if len(classes) > 20:
        return None
    absent = [is_missing(text) for text in x]
    for what, flag in (("there", False), ("missing", True)):
        chosen = [(position, b) for position, b, gone in zip(there, y, absent, strict=True) if gone is flag]
        found = Counter(b for _, b in chosen)
        if len(found) != 1 or len(chosen) < _FEWEST or len(chosen) == len(y):
            continue
        name, number = next(iter(found.items()))
        expected = classes[name] / len(y)
        if expected**number < CHANCE:
            words = f"is {what} for {number} test ids, whose answer is always {name}"
            figures = {what: number, "of": len(y), "answer": name, "share_of_that_answer": round(expected, 4)}
            return Verdict("missing", words, tuple(position for position, _ in chosen), figures)
    return None


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _alike(a: str, b: str) -> bool:
    if a == b:
        return True
    one, other = as_number(a), as_number(b)
    if one is not None and other is not None:
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    truths = {"true": "1", "false": "0"}
    a, b = a.strip().lower(), b.strip().lower()
    return truths.get(a, a) == truths.get(b, b)
