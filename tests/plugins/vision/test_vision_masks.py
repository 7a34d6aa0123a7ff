"""Metrics of masks against computations on painted arrays."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mleb_vision import hausdorff
from mleb_vision.hausdorff import dice_hausdorff, directed_hausdorff
from mleb_vision.masks import dice, global_dice, mean_dice, mean_precision_at_iou_thresholds, pixel_f_beta
from mleb_vision.runs import read_masks


def drawn(draw, n, height, width):
    """n random masks as arrays and as what is read from their text, counted down the columns."""
    arrays = [draw.random((height, width)) < draw.choice([0, 0.1, 0.5, 0.9, 1]) for _ in range(n)]
    return arrays, read(arrays, height, width)


def read(arrays, height, width, order="F"):
    texts = [" ".join(f"{p + 1} 1" for p in np.flatnonzero(a.ravel(order=order))) for a in arrays]
    return read_masks(texts, height=height, width=width)


def plain_dice(a, b):
    return 2 * np.logical_and(a, b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("seed", range(40))
def test_dice_f_beta_and_precision(seed):
    draw = np.random.default_rng(seed)
    n, height, width = (int(v) for v in draw.integers(1, 9, 3))
    (a, left), (b, right) = drawn(draw, n, height, width), drawn(draw, n, height, width)
    for i in range(0, n, 2):  # some that agree in most pixels
        b[i] = a[i] ^ (draw.random((height, width)) < 0.1)
    right = read(b, height, width)
    pairs = list(zip(a, b, strict=True))

    scores = [plain_dice(x, y) if x.any() or y.any() else None for x, y in pairs]
    assert [None if math.isnan(v) else v for v in dice(left, right)] == pytest.approx(scores)
    assert mean_dice(left, right) == pytest.approx(np.mean([1.0 if s is None else s for s in scores]))
    both = sum(x.sum() + y.sum() for x, y in pairs)
    if both:
        assert global_dice(left, right) == pytest.approx(2 * sum((x & y).sum() for x, y in pairs) / both)
    else:
        assert math.isnan(global_dice(left, right))

    for beta in (0.5, 1, 2):
        expected = []
        for x, y in pairs:
            hits, found, true = (x & y).sum(), y.sum(), x.sum()
            p, r = (hits / found if found else 0), (hits / true if true else 0)
            expected.append((1 + beta**2) * p * r / (beta**2 * p + r) if p + r else 0)
        assert pixel_f_beta(left, right, beta=beta) == pytest.approx(np.mean(expected))

    def precision(x, y, as_full):
        if not x.any():
            return float(not y.any())
        if as_full and not y.any():
            y = np.ones_like(y)
        iou = (x & y).sum() / (x | y).sum()
        return sum(iou > t for t in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)) / 10

    for as_full in (False, True):
        got = mean_precision_at_iou_thresholds(left, right, empty_as_full=as_full)
        assert got == pytest.approx(np.mean([precision(x, y, as_full) for x, y in pairs]))


def volume_distance(a, b, cutoff=math.inf):
    """Symmetric Hausdorff distance of two volumes from all distances; None where both are empty."""
    if not a.any() and not b.any():
        return None
    if not a.any() or not b.any() or b.sum() > cutoff * a.sum():
        return 1.0
    far = cdist(np.argwhere(a) / a.shape, np.argwhere(b) / b.shape)
    return max(far.min(axis=0).max(), far.min(axis=1).max()) / math.sqrt(3)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("order", ["columns", "rows"])
def test_dice_hausdorff(seed, merge, order):
    draw = np.random.default_rng(seed)
    names, labels, arrays, sizes = [], [], [], []
    for day in range(draw.integers(1, 4)):
        height, width = (int(v) for v in draw.integers(1, 7, 2))
        for number in range(draw.integers(1, 4)):
            for label in ("stomach", "bowel"):
                names.append(f"case1_day{day}_slice_{number:04d}")
                labels.append(label)
                sizes.append((height, width))
                share = draw.choice([0, 0.05, 0.4])
                arrays.append([draw.random((height, width)) < share for _ in range(2)])
    shuffled = draw.permutation(len(names))
    names, labels = np.array(names, dtype=object)[shuffled], np.array(labels, dtype=object)[shuffled]
    arrays, sizes = [arrays[i] for i in shuffled], np.array(sizes)[shuffled]
    cutoff = float(draw.choice([1, 2, 10]))

    distances = []
    for key in {(n.split("_slice_")[0], "" if merge else label) for n, label in zip(names, labels, strict=True)}:
        rows = [
            i for i, (n, label) in enumerate(zip(names, labels, strict=True))
            if n.startswith(key[0] + "_slice_") and (merge or label == key[1])
        ]  # fmt: skip
        depth = sorted({names[i] for i in rows})
        volumes = np.zeros((2, len(depth), *sizes[rows[0]]), dtype=bool)
        for i in rows:
            for side in range(2):
                volumes[side, depth.index(names[i])] |= arrays[i][side]
        distances.append(volume_distance(*volumes, cutoff))
    distances = [d for d in distances if d is not None]
    scores = [plain_dice(x, y) for x, y in arrays if x.any() or y.any()]

    def texts(side):
        flat = [pair[side].ravel(order="F" if order == "columns" else "C") for pair in arrays]
        cells = [" ".join(f"{p + 1} 1" for p in np.flatnonzero(mask)) for mask in flat]
        return read_masks(cells, height=sizes[:, 0], width=sizes[:, 1])

    got = dice_hausdorff(
        texts(0), texts(1), slices=names, labels=labels, merge_labels=merge, order=order, cutoff=cutoff
    )
    if scores:
        assert got == pytest.approx(0.4 * np.mean(scores) + 0.6 * (1 - np.mean(distances)))
    else:
        assert math.isnan(got)


@pytest.mark.parametrize("seed", range(20))
def test_distances_of_many_voxels_are_exact(seed, monkeypatch):
    draw = np.random.default_rng(seed)
    shape = tuple(draw.integers(1, 30, draw.integers(1, 4)))
    source, target = draw.random(shape) < draw.choice([0.1, 0.9, 1]), draw.random(shape) < draw.choice([0.003, 0.5])
    target.flat[draw.integers(target.size)] = True
    if draw.random() < 0.5:
        target[tuple(slice(0, max(1, n // 3)) for n in shape)] = True  # something with an inside
    scale = draw.choice([0.01, 0.3, 1], len(shape))
    plain = cdist(np.argwhere(source) * scale, np.argwhere(target) * scale).min(axis=1).max(initial=0)
    assert directed_hausdorff(source, target, scale) == pytest.approx(plain, rel=1e-12)
    monkeypatch.setattr(hausdorff, "_MANY", 10)  # look at blocks first
    assert directed_hausdorff(source, target, scale) == pytest.approx(plain, rel=1e-12)


def test_ten_times_the_voxels_are_still_measured():
    names, labels = np.array(["a_slice_1"], dtype=object), np.array(["x"], dtype=object)
    truth = read_masks(["1 1"], height=5, width=5)
    scores = [
        dice_hausdorff(truth, read_masks([text], height=5, width=5), slices=names, labels=labels, cutoff=10)
        for text in ("1 10", "1 11")
    ]
    assert scores[0] == pytest.approx(0.4 * 2 / 11 + 0.6 * (1 - np.hypot(4 / 5, 1 / 5) / 3**0.5))
    assert scores[1] == pytest.approx(0.4 * 2 / 12)


def test_slices_of_a_volume_have_one_size():
    masks = read_masks(["1 1", "1 1"], height=[5, 6], width=5)
    names = np.array(["a_slice_1", "a_slice_2"], dtype=object)
    with pytest.raises(ValueError, match="one size"):
        dice_hausdorff(masks, masks, slices=names, labels=np.array(["x", "x"], dtype=object))
