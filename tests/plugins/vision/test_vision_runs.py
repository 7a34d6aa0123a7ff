"""Run-length masks against a decoder that paints pixel by pixel."""

import numpy as np
import pytest

from mleb_vision import runs as module
from mleb_vision.cells import CellError
from mleb_vision.runs import Runs, areas, overlaps, pixels, read_masks


def painted(text, height, width):
    """One mask as flags, in the order of counting; None where the text is malformed. Read word by word."""
    words = text.split()
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        return None
    if len(numbers) % 2:
        return None
    flags = [False] * (height * width)
    before = 1
    while numbers:
        start, length, *numbers = numbers
        if start < before or length < 1:
            return None
        before = start
        for pixel in range(start - 1, min(start - 1 + length, len(flags))):
            if flags[pixel]:
                return None
            flags[pixel] = True
    return flags


def flags_of(masks: Runs):
    """The same from what was read."""
    owner, position = pixels(masks)
    result = [[False] * int(h * w) for h, w in zip(masks.height, masks.width, strict=True)]
    for i, p in zip(owner.tolist(), position.tolist(), strict=True):
        assert not result[i][p]
        result[i][p] = True
    return result


def random_text(draw, size):
    """Mostly well-formed texts, with now and then a fault."""
    start, words = 1, []
    for _ in range(draw.integers(0, 6)):
        start += int(draw.integers(0, 5))
        length = int(draw.integers(0 if draw.random() < 0.05 else 1, 5))
        words += [str(start), str(length)]
        start += length if draw.random() < 0.95 else length - 1
    if draw.random() < 0.05 and words:
        words.pop()
    if draw.random() < 0.05:
        words += [str(size + int(draw.integers(0, 3))), "4"]
    if draw.random() < 0.05:
        words.append(["x", "1.0", "-3", "+2", "0", "1_0", "٣", "9" * 30][draw.integers(8)])
    return [" ", "  ", "\t", "\n", "\u2003"][draw.integers(5)].join(words) if words else " " * int(draw.integers(3))


@pytest.mark.parametrize("seed", range(300))
def test_texts_are_read_and_refused_as_a_painter_does(seed):
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 9))
    height, width = draw.integers(1, 7, n), draw.integers(1, 7, n)
    texts = [random_text(draw, int(h * w)) for h, w in zip(height, width, strict=True)]
    expected = [painted(t, h, w) for t, h, w in zip(texts, height.tolist(), width.tolist(), strict=True)]
    if None in expected:
        with pytest.raises(CellError) as caught:
            read_masks(texts, height=height, width=width)
        assert caught.value.position == expected.index(None)
        assert caught.value.problem and "\n" not in caught.value.problem
        return
    masks = read_masks(texts, height=height, width=width)
    assert flags_of(masks) == expected
    assert areas(masks).tolist() == [sum(flags) for flags in expected]


@pytest.mark.parametrize("seed", range(60))
def test_overlaps_are_those_of_painted_masks(seed):
    draw = np.random.default_rng(1000 + seed)
    n = int(draw.integers(1, 8))
    height, width = draw.integers(1, 9, n), draw.integers(1, 9, n)
    sides = []
    for _ in range(2):
        masks = [draw.random(int(h * w)) < draw.choice([0, 0.2, 0.7, 1]) for h, w in zip(height, width, strict=True)]
        texts = [" ".join(f"{p + 1} 1" for p in np.flatnonzero(mask)) for mask in masks]
        sides.append((masks, read_masks(texts, height=height, width=width)))
    (a, left), (b, right) = sides
    assert overlaps(left, right).tolist() == [int((x & y).sum()) for x, y in zip(a, b, strict=True)]


def test_reading_in_pieces_changes_nothing(monkeypatch):
    draw = np.random.default_rng(5)
    texts = [" ".join(f"{p + 1} 1" for p in np.flatnonzero(draw.random(400) < 0.3)) for _ in range(50)]
    whole = read_masks(texts, height=20, width=20)
    monkeypatch.setattr(module, "_BATCH_BYTES", 1000)
    pieces = read_masks(texts, height=20, width=20)
    for name in ("starts", "ends", "first", "height", "width"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))
    with pytest.raises(CellError) as caught:
        read_masks([*texts, "1 2 2 2", "x"], height=20, width=20)
    assert caught.value.position == 50


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("5", "1 numbers where pairs"),
        ("1 2 3", "3 numbers where pairs"),
        ("0 5", "below 1"),
        ("3 0", "below 1"),
        ("-1 5", "below 1"),
        ("9 2 3 1", "run 3 1 starts before"),
        ("3 4 5 1", "run 5 1 covers a pixel"),
        ("1.0 2", "'1.0' is not a whole number"),
        ("1 2,3 4", "'2,3' is not a whole number"),
        ("nan", "'nan' is not a whole number"),
        ("1 " + "9" * 25, "more than 18 digits"),
        ("-", "'-' is not a whole number"),
    ],
)
def test_what_is_wrong_is_said(text, problem):
    with pytest.raises(CellError) as caught:
        read_masks(["1 1", text], height=5, width=5)
    assert problem in caught.value.problem
    assert caught.value.position == 1


def test_runs_end_with_the_image():
    masks = read_masks(["24 10", "26 1 26 1", "999999999999999999 5", "1 999999999999999999"], height=5, width=5)
    assert areas(masks).tolist() == [2, 0, 0, 25]


def test_empty_marks_and_shared_lengths_are_options():
    assert areas(read_masks(["-", "1 3"], height=5, width=5, empty="-")).tolist() == [0, 3]
    with pytest.raises(CellError):
        read_masks([" -"], height=5, width=5, empty="-")
    assert areas(read_masks(["1 3 6"], height=5, width=5, shared_length=True)).tolist() == [6]
    with pytest.raises(CellError):
        read_masks(["1 3 6 1 8"], height=5, width=5, shared_length=True)
    with pytest.raises(CellError, match="covers"):
        read_masks(["1 6 3"], height=5, width=5, shared_length=True)


def test_masks_of_other_images_do_not_overlap():
    with pytest.raises(ValueError, match="same images"):
        overlaps(read_masks(["1 1"], height=5, width=5), read_masks(["1 1"], height=5, width=6))
