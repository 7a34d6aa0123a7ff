"""The same code on both sides, line by line: what a reader must see to believe a similarity."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from mleb_core.run_code.sources import Source
from mleb_plagiarism.tokens import Tokens, normalised
from mleb_plagiarism.winnow import GUARANTEED, Hashes, K, grams

__all__ = ["Passage", "passages", "side_by_side"]

MOST_PLACES = 8
"""How many places of a reference are tried for the same K tokens."""


@dataclass(frozen=True)
class Passage:
    """Lines of a run that say the same as lines of a reference."""

    tokens: int
    """Normalised tokens in a row that are equal."""
    run_place: str
    """Where it begins in the run's source."""
    run_lines: tuple[str, ...]
    """The run's lines."""
    reference_place: str
    """Where it begins in the reference."""
    reference_lines: tuple[str, ...]
    """The reference's lines."""


def passages(run: Source, reference: Source, common: Hashes, *, most: int = 5, most_lines: int = 40) -> list[Passage]:
    """The passages that two sources share, those with most of what is not common first.

    A passage has at least GUARANTEED equal tokens, and hashes that are not common. No token of the run is in two.

    Args:
        run: one of the run's sources.
        reference: a public solution.
        common: ascending hashes that say nothing.
        most: how many are given.
        most_lines: of each side; longer ones are cut.
    """
    mine, its = normalised(run.text, run.language), normalised(reference.text, reference.language)
    hashes = grams(mine)
    telling = ~np.isin(hashes, common)
    found = []
    for start, other, length in _tiles(mine, its, hashes):
        weight = int(telling[start : start + length - K + 1].sum())
        if length >= GUARANTEED and weight:
            found.append((weight, start, other, length))
    found.sort(key=lambda tile: (-tile[0], tile[1]))
    return [
        Passage(
            length,
            run.place(mine.lines[start]),
            _lines(run, mine, start, length, most_lines),
            reference.place(its.lines[other]),
            _lines(reference, its, other, length, most_lines),
        )
        for _, start, other, length in found[:most]
    ]


def _tiles(mine: Tokens, its: Tokens, hashes: Hashes) -> list[tuple[int, int, int]]:
    """Equal stretches, from left to right, each as long as it can be: start, start in the other, length."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, value in enumerate(grams(its).tolist()):
        if len(places[value]) < MOST_PLACES:
            places[value].append(place)
    found, start, values = [], 0, hashes.tolist()
    one, two = mine.texts, its.texts
    while start < len(values):
        best, where = 0, 0
        for other in places.get(values[start], ()):
            length, most = 0, min(len(one) - start, len(two) - other)
            while length < most and one[start + length] == two[other + length]:
                length += 1
            if length > best:
                best, where = length, other
        if best >= K:
            found.append((start, where, best))
            start += best
        else:
            start += 1
    return found


def _lines(source: Source, tokens: Tokens, start: int, length: int, most: int) -> tuple[str, ...]:
    first, last = tokens.lines[start], tokens.lines[start + length - 1]
    lines = source.text.split("\n")[first - 1 : last]
    if len(lines) > most:
        return (*lines[: most - 1], f"... {len(lines) - most + 1} more lines")
    return tuple(lines)


def side_by_side(passage: Passage, width: int = 58) -> list[str]:
    """A passage as text in two columns, the run's lines on the left; longer lines are cut.

    Args:
        passage: what to show.
        width: characters of a column.
    """
    rows = [(passage.run_place, passage.reference_place), ("-" * width, "-" * width)]
    rows += zip_longest(passage.run_lines, passage.reference_lines, fillvalue="")
    return [f"{_cut(left, width).ljust(width)} | {_cut(right, width)}".rstrip() for left, right in rows]


def _cut(line: str, width: int) -> str:
    line = "".join(sign if sign.isprintable() else " " for sign in line.replace("\t", "    ").rstrip())
    return line if len(line) <= width else line[: width - 1] + "…"
