"""Answers that are sequences, masks or positions, and texts that hold answers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mleb_leaks.formats.nmea import positions
from mleb_leaks.giveaway import Verdict
from mleb_leaks.linked import Seen, Source
from mleb_leaks.truth import Truth, as_number

if TYPE_CHECKING:
    import numpy as np

__all__ = ["find_masks", "find_positions", "find_sequences", "find_texts"]

_RUNS = re.compile(r"[0-9]+ [0-9]+(?: [0-9]+ [0-9]+)*")
_SIDE = 512
_METRES = 5.0
_DEGREE = 111_320.0


def find_sequences(values: Mapping[int, Seen], target: Sequence[str]) -> Verdict | None:
    """Answers that are several words or numbers, and a field with as many parts that stand for them one by one.

    A part may stand for a word under another name, as long as the same part always stands for the same word.
    """
    names: dict[str, str] = {}
    back: dict[str, str] = {}
    fits, parts = [], 0
    seen = [(position, one.value) for position, one in sorted(values.items()) if isinstance(one.value, tuple)]
    if len(seen) < 3 or len(seen) < 0.5 * len(values):
        return None
    for position, value in seen:
        words = target[position].split()
        if len(words) != len(value) or len(words) < 2:
            continue
        pairs = list(zip(map(str, value), words, strict=True))
        if all(names.get(a, b) == b and back.get(b, a) == a for a, b in pairs):
            names.update(pairs)
            back.update((b, a) for a, b in pairs)
            fits.append(position)
            parts += len(pairs)
    # Each name is free once; every further part would fit by chance with 1 in the number of words.
    if len(names) < 2 or len(fits) < max(3, 0.9 * len(seen)) or parts - len(names) < 10:
        return None
    figures = {"files": len(fits), "of": len(seen), "parts": parts, "names": len(names)}
    return Verdict("sequence", f"is the answer, part by part, for {len(fits)} test ids", tuple(fits), figures)


def find_masks(
    values: Mapping[int, Seen], target: Sequence[str], sizes: Mapping[int, tuple[int, int]]
) -> Verdict | None:
    """Answers that are run-length encoded masks (starts and lengths from 1, down the columns), and polygons that
    enclose the same: on a grid of at most 512 x 512 an intersection over union of at least 0.4, for outlines may be
    coarse, and of at least 0.85 of the frames around all of it. `sizes` has width and height of ids' images, where they
    are known.
    """
    fits, tried = [], 0
    for position, one in sorted(values.items()):
        size = sizes.get(position)
        if size is None or not isinstance(one.value, tuple) or not _RUNS.fullmatch(target[position].strip()):
            continue
        tried += 1
        overlap, frames = _overlap(one.value, target[position], size)
        if overlap >= 0.4 and frames >= 0.85:
            fits.append(position)
    if not fits or len(fits) < 0.8 * tried:
        return None
    words = f"is the outline of the answer for {len(fits)} of {tried} test ids"
    return Verdict("mask", words, tuple(fits), {"masks": len(fits), "of": tried})


def find_positions(source: Source, truth: Truth) -> Iterator[tuple[str, Verdict, str, dict[str, Any]]]:
    """Answers that are latitude and longitude, and files (NMEA logs) that hold positions within 5 m of them.

    Gives (columns, verdict, file, values) for the kind of files.
    """
    latitude = next((name for name in truth.targets if re.search("lat", name, re.IGNORECASE)), None)
    longitude = next((name for name in truth.targets if re.search("lon|lng", name, re.IGNORECASE)), None)
    if latitude is None or longitude is None:
        return
    import numpy as np
    from scipy.spatial import cKDTree

    found, total = 0, 0
    example: tuple[str, dict[str, Any]] = ("", {})
    files: list[tuple[str, list[str], Sequence[int]]] = [
        (file, lines, truth.trips[trip]) for trip, (file, lines) in source.trips.items()
    ]
    files += [(file, lines, (position,)) for position, (file, lines) in source.texts.items()]
    for file, lines, answers in files:
        there = np.array([*positions(lines)])
        truths = [(as_number(truth.targets[latitude][p]), as_number(truth.targets[longitude][p])) for p in answers]
        wanted = np.array([(a, b) for a, b in truths if a is not None and b is not None])
        if not len(there) or not len(wanted):
            continue
        scale = np.array([_DEGREE, _DEGREE * np.cos(np.radians(wanted[0, 0]))])
        asked = cKDTree(there * scale).query(wanted * scale)
        distance, nearest = np.atleast_1d(asked[0]), np.atleast_1d(asked[1])
        total += len(wanted)
        found += int((distance <= _METRES).sum())
        if not example[0] and (distance <= _METRES).any():
            at = int(distance.argmin())
            example = (
                file,
                {
                    "answer": [float(v) for v in wanted[at]],
                    "position": [round(float(v), 7) for v in there[nearest[at]]],
                    "metres": round(float(distance[at]), 2),
                },
            )
    if total and found >= max(3, 0.5 * total):
        words = f"holds positions within {_METRES:.0f} m of {found} of {total} answers"
        yield f"{latitude}, {longitude}", Verdict("position", words, (), {"near": found, "of": total}), *example


def find_texts(texts: Mapping[int, tuple[str, list[str]]], target: Sequence[str]) -> Verdict | None:
    """Texts that hold their own id's answer, but not that of others.

    An answer is held where it stands by itself, or all its words do. Of at least 5 texts with an answer that is not
    empty 90 % must hold their own, and at most 30 % that of the next text with another answer.
    """
    there = [position for position in sorted(texts) if target[position].strip()]
    if len(there) < 5 or len({target[position] for position in there}) < 2:
        return None
    own, others, fits = 0, 0, []
    compared = 0
    for index, position in enumerate(there):
        words = _words(texts[position][1])
        if _holds(words, target[position]):
            own += 1
            fits.append(position)
        other = next((p for p in (*there[index + 1 :], *there[:index]) if target[p] != target[position]), None)
        if other is not None:
            compared += 1
            others += _holds(words, target[other])
    if own < 0.9 * len(there) or others > 0.3 * compared:
        return None
    told = f"holds the answer for {own} of {len(there)} test ids, and that of another id for {others}"
    return Verdict("text", told, tuple(fits), {"own": own, "of": len(there), "others": others})


def _words(lines: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for line in lines:
        for word in re.split(r"[\s,;:=\"'()\[\]{}<>|]+", line):
            number = as_number(word)
            found.add(f"{number:.6g}" if number is not None else word.lower())
    return found


def _holds(words: set[str], answer: str) -> bool:
    parts = answer.split()
    texts = [f"{number:.6g}" if (number := as_number(part)) is not None else part.lower() for part in parts]
    return all(text in words for text in texts)


def _overlap(polygons: tuple[Any, ...], runs: str, size: tuple[int, int]) -> tuple[float, float]:
    """Intersection over union of polygons (x, y, x, y, ...) and a mask, both shrunk alike; and of their frames."""
    import numpy as np
    from PIL import Image, ImageDraw

    width, height = size
    shrink = max(1.0, max(width, height) / _SIDE)
    shape = (int(np.ceil(width / shrink)), int(np.ceil(height / shrink)))
    drawn = Image.new("1", shape)
    pen = ImageDraw.Draw(drawn)
    for ring in polygons:
        if isinstance(ring, tuple) and len(ring) >= 6:
            pen.polygon([c / shrink for c in ring], fill=1)
    ours = np.asarray(drawn)
    numbers = np.array(runs.split(), dtype=np.int64).reshape(-1, 2)
    theirs = np.zeros_like(ours)
    for start, length in numbers:
        first, last = int(start) - 1, min(int(start + length) - 2, width * height - 1)
        while first <= last:  # a run that goes on in the next column
            column, top = divmod(first, height)
            bottom = min(last, (column + 1) * height - 1) % height
            theirs[int(top / shrink) : int(bottom / shrink) + 1, int(column / shrink)] = True
            first = (column + 1) * height
    both, either = (ours & theirs).sum(), (ours | theirs).sum()
    if not ours.any() or not theirs.any():
        return 0.0, 0.0
    a, b = _frame(ours), _frame(theirs)
    inner = max(0, min(a[1], b[1]) - max(a[0], b[0]) + 1) * max(0, min(a[3], b[3]) - max(a[2], b[2]) + 1)
    areas = [(f[1] - f[0] + 1) * (f[3] - f[2] + 1) for f in (a, b)]
    return float(both / either), inner / (sum(areas) - inner)


def _frame(mask: "np.ndarray[Any, Any]") -> tuple[int, int, int, int]:
    """First and last column and row with something in it."""
    import numpy as np

    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(columns[-1]), int(rows[0]), int(rows[-1])
