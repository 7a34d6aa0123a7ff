"""Run-length masks: reading them from text, and areas and overlaps without painting a pixel.

A mask is a text of numbers `start length start length ...`: runs of set pixels, starts counted from 1 along the image's
columns (top to bottom, then left to right) or rows, as the competition says. Areas and overlaps are the same either
way; only `pixels` and shapes care.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mleb_vision.cells import CellError, Texts

__all__ = ["Runs", "areas", "overlaps", "pixels", "read_masks"]

Ints = npt.NDArray[np.int64]

_BATCH_BYTES = 8 * 1024**2  # of text read at a time: bounds the memory for what lies between text and runs
_DIGITS = 18  # longest number that fits int64 whatever its digits; two of them can be added
_BLANK, _DIGIT, _OTHER = 0, 1, 2
_KIND = np.full(256, _OTHER, dtype=np.uint8)
_KIND[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = _BLANK  # where str.split() cuts ASCII text
_KIND[48:58] = _DIGIT


@dataclass(frozen=True)
class Runs:
    """n masks. Runs of a mask are in ascending order, disjoint, and end at the image's last pixel."""

    starts: Ints
    """First pixel of each run, counted from 0, shape (r,)."""
    ends: Ints
    """The pixel after its last one, shape (r,)."""
    first: Ints
    """Runs first[i] up to first[i + 1] are those of mask i, shape (n + 1,)."""
    height: Ints
    """Rows of each image, shape (n,)."""
    width: Ints
    """Columns of each image, shape (n,)."""

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def mask(self) -> Ints:
        """The mask that each run belongs to, shape (r,)."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.first))


def read_masks(
    cells: Texts,
    *,
    height: npt.ArrayLike,
    width: npt.ArrayLike,
    empty: str | None = None,
    shared_length: bool = False,
) -> Runs:
    """Read run-length texts.

    Numbers are what Python's `int` takes, separated by white space; a blank text is an empty mask. Starts ascend,
    starts and lengths are at least 1, no run covers a pixel that is set already. A run that goes past the last pixel
    is cut there, one that starts after it is dropped (and may overlap there). Touching runs are fine.

    Args:
        cells: n texts.
        height: rows of the images, one number or shape (n,).
        width: columns of the images, likewise.
        empty: a text that stands for an empty mask, such as "-".
        shared_length: whether three numbers `start length start` are two runs of the same length.

    Raises:
        CellError: the first text that is malformed, and what is wrong with it.
    """
    n = len(cells)
    high, wide = (np.broadcast_to(np.asarray(v).astype(np.int64), (n,)) for v in (height, width))
    size = high * wide
    texts = ["" if text == empty else text for text in cells]
    parts: list[tuple[Ints, Ints, Ints]] = []
    faults: dict[int, str] = {}
    at = 0
    while at < n:
        end, length = at, 0
        while end < n and (end == at or length + len(texts[end]) < _BATCH_BYTES):
            length += len(texts[end])
            end += 1
        numbers, first, wrong = _numbers(texts[at:end], shared_length)
        starts, ends, first = _runs(numbers, first, size[at:end], wrong)
        parts.append((starts, ends, np.diff(first)))
        faults |= {at + position: problem for position, problem in wrong.items()}
        if faults:
            position = min(faults)
            raise CellError(position, faults[position])
        at = end
    none = np.zeros(0, dtype=np.int64)
    starts, ends, counts = (np.concatenate([none, *(part[i] for part in parts)]) for i in range(3))
    return Runs(starts, ends, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), high, wide)


def areas(masks: Runs) -> Ints:
    """Number of set pixels of each mask, shape (n,)."""
    return _sums(masks.ends - masks.starts, masks.first)


def overlaps(a: Runs, b: Runs) -> Ints:
    """Number of pixels that are set in both of each pair of masks, shape (n,).

    All images are laid one after the other on a line; the pixels of `a` below a point, counted at both ends of each run
    of `b`, give what that run covers. No pixel is painted: the time goes with the number of runs.

    Raises:
        ValueError: they are not as many masks, or not of the same sizes.
    """
    size = a.height * a.width
    if not np.array_equal(size, b.height * b.width):
        raise ValueError("masks of the same images are expected")
    if not len(a.starts) or not len(b.starts):
        return np.zeros(len(a), dtype=np.int64)
    offset = np.concatenate([[0], np.cumsum(size)[:-1]])
    starts, ends = a.starts + offset[a.mask], a.ends + offset[a.mask]
    before = np.concatenate([[0], np.cumsum(ends - starts)])

    def covered(points: Ints) -> Ints:
        run = np.searchsorted(starts, points, side="right") - 1
        last = np.maximum(run, 0)
        inside = np.minimum(points - starts[last], ends[last] - starts[last])
        return np.where(run < 0, 0, before[last] + inside)

    shift = offset[b.mask]
    return _sums(covered(b.ends + shift) - covered(b.starts + shift), b.first)


def pixels(masks: Runs) -> tuple[Ints, Ints]:
    """The set pixels of all masks: (the mask of each, its position counted from 0), in order, shape (p,) each."""
    lengths = masks.ends - masks.starts
    total = np.cumsum(lengths)
    position = np.arange(total[-1] if len(total) else 0, dtype=np.int64)
    position += np.repeat(masks.starts - (total - lengths), lengths)
    return np.repeat(masks.mask, lengths), position


def _sums(values: Ints, first: Ints) -> Ints:
    before = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(before[first[1:]] - before[first[:-1]], dtype=np.int64)


def _numbers(texts: Sequence[str], shared_length: bool) -> tuple[Ints, Ints, dict[int, str]]:
    """All numbers of all texts; where those of each text begin; what is wrong, by text, which then has none."""
    faults: dict[int, str] = {}
    numbers, first, odd = _parsed(texts)
    counts = np.diff(first)
    if shared_length:
        odd = np.union1d(odd, np.flatnonzero(counts == 3))
    if len(odd):  # rare: signs, underscores, digits of other scripts, and what is no number at all
        texts = list(texts)
        for i in map(int, odd):
            texts[i], problem = _rewritten(texts[i], shared_length)
            if problem:
                faults[i] = problem
        numbers, first, _ = _parsed(texts)
        counts = np.diff(first)
    if len(uneven := np.flatnonzero(counts % 2)):
        for i in map(int, uneven):
            faults.setdefault(i, f"{counts[i]} numbers where pairs of start and length are expected")
        keep = np.repeat(counts % 2 == 0, counts)
        numbers, counts = numbers[keep], np.where(counts % 2, 0, counts)
        first = np.concatenate([[0], np.cumsum(counts)])
    return numbers, first, faults


def _parsed(texts: Sequence[str]) -> tuple[Ints, Ints, Ints]:
    """The numbers in texts of digits and blanks, where each text's begin, and the texts that hold anything else."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    data = np.frombuffer(b"\n" + b"\n".join(raw) + b"\n", dtype=np.uint8)
    begins = 1 + np.concatenate([[0], np.cumsum(np.fromiter(map(len, raw), dtype=np.int64, count=len(raw)) + 1)])
    kind = _KIND[data]
    digit = kind == _DIGIT
    edges = np.flatnonzero(digit[1:] != digit[:-1]) + 1
    start, end = edges[::2], edges[1::2]
    length = end - start
    numbers = np.zeros(len(start), dtype=np.int64)
    shortest, longest = (int(length.min()), int(length.max())) if len(length) else (0, 0)
    for place in range(min(longest, _DIGITS)):
        if place < shortest:
            numbers += (data[end - 1 - place] - np.uint8(48)).astype(np.int64) * 10**place
        else:
            here = np.flatnonzero(length > place)
            numbers[here] += (data[end[here] - 1 - place] - np.uint8(48)).astype(np.int64) * 10**place
    strange = np.flatnonzero(kind == _OTHER)
    if longest > _DIGITS:
        strange = np.concatenate([strange, start[length > _DIGITS]])
    odd = np.unique(np.searchsorted(begins, strange, side="right") - 1)
    return numbers, np.searchsorted(start, begins).astype(np.int64), odd


def _rewritten(text: str, shared_length: bool) -> tuple[str, str]:
    """A text in plain digits, or an empty one and what is wrong."""
    numbers = []
    for word in text.split():
        try:
            numbers.append(int(word))
        except ValueError:
            return "", f"{word[:30]!r} is not a whole number; starts and lengths are expected"
    if shared_length and len(numbers) == 3:
        numbers.append(numbers[1])
    if numbers and min(numbers) < 1:
        return "", f"{min(numbers)} is below 1; starts and lengths count from 1"
    if numbers and max(numbers) >= 10**_DIGITS:
        return "", "a number has more than 18 digits"
    return " ".join(map(str, numbers)), ""


def _runs(numbers: Ints, first: Ints, size: Ints, faults: dict[int, str]) -> tuple[Ints, Ints, Ints]:
    """Checked runs, cut at the last pixel; what is wrong is added to the faults."""
    start, length = numbers[::2], numbers[1::2]
    counts = np.diff(first) // 2
    mask = np.repeat(np.arange(len(counts)), counts)
    starts = start - 1
    ends = np.minimum(starts + length, size[mask])
    same = mask[1:] == mask[:-1]
    checks = (
        ((start < 1) | (length < 1), "run {} {} has a number below 1; starts and lengths count from 1"),
        (np.append(False, same & (starts[1:] < starts[:-1])), "run {} {} starts before the one before it"),
        (
            np.append(False, same & (starts[1:] < ends[:-1]) & (starts[1:] < size[mask[1:]])),
            "run {} {} covers a pixel that the one before it covers",
        ),
    )
    for wrong, problem in checks:
        for run in np.flatnonzero(wrong[: len(start)])[:1]:
            i = int(mask[run])
            if i not in faults and not any(other < i for other in faults):
                faults[i] = problem.format(start[run], length[run])
    inside = starts < size[mask]
    kept = np.bincount(mask[inside], minlength=len(counts))
    return starts[inside], ends[inside], np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
