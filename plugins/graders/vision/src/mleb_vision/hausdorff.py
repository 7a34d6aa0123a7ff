"""Dice and Hausdorff distance of masks that are slices of volumes."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mleb_vision.masks import dice
from mleb_vision.runs import Runs, pixels

__all__ = ["dice_hausdorff", "directed_hausdorff"]

Ints = npt.NDArray[np.int64]
_BLOCK = 8  # voxels along the side of a block
_MANY = 20_000  # voxels from which it pays to look at blocks first


def dice_hausdorff(
    truth: Runs,
    predicted: Runs,
    *,
    slices: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    separator: str = "_slice_",
    order: Literal["columns", "rows"] = "columns",
    merge_labels: bool = False,
    cutoff: float = float("inf"),
) -> float:
    """0.4 D + 0.6 (1 - H).

    D: mean of the Dice coefficient over the masks, those empty on both sides left out. H: mean over volumes, those
    empty on both sides left out, of the symmetric Hausdorff distance (the larger of both directed ones), in
    coordinates divided by the volume's shape (slices, height, width), divided by sqrt(3). A volume that is empty on
    one side has distance 1.

    Args:
        truth: n masks.
        predicted: n masks of the same images.
        slices: names of the slices, shape (n,); the part before the separator names the volume, its slices lie in the
            order of their names.
        labels: class of each mask, shape (n,).
        separator: see `slices`.
        order: along what runs count pixels.
        merge_labels: one volume for all classes together (a pixel is set if any class has it), else one for each class.
        cutoff: a volume with more predicted voxels than this many times the true ones has distance 1; inf: none. The
            published grader has 10, to save time.

    Returns:
        nan where all masks are empty.

    Source: metric of the UW-Madison GI tract competition of 2022; Huttenlocher et al., Comparing images using the
    Hausdorff distance, IEEE PAMI 15, 1993.
    """
    import pandas as pd

    scores = dice(truth, predicted)
    names = pd.Series(slices, dtype=object).astype(str)
    keys = [
        names.str.split(separator, regex=False).str[0],
        pd.Series("" if merge_labels else labels, index=names.index),
    ]
    volume = pd.MultiIndex.from_arrays(keys).factorize()[0]
    distances = []
    for rows in pd.Series(np.arange(len(names))).groupby(volume).groups.values():
        chosen = np.asarray(rows)
        depth, slice_names = pd.factorize(names.iloc[chosen], sort=True)
        high, wide = (np.unique(side[chosen]) for side in (truth.height, truth.width))
        if len(high) > 1 or len(wide) > 1:
            raise ValueError(f"the slices of a volume are not of one size: {names.iloc[chosen[0]]}")
        shape = (len(slice_names), int(high[0]), int(wide[0]))
        a, b = (_voxels(_chosen(masks, chosen), depth, shape, order) for masks in (truth, predicted))
        if len(a) or len(b):
            distances.append(_distance(a, b, shape, cutoff))
    if np.isnan(scores).all():
        return float("nan")
    return 0.4 * float(np.nanmean(scores)) + 0.6 * (1.0 - float(np.mean(distances)))


def directed_hausdorff(source: Ints, target: Ints, scale: npt.ArrayLike) -> float:
    """Largest distance from a point of `source` to its nearest point of `target`.

    Exact. Where there are many points, blocks of them are looked at first: the distance d of a block's centre bounds
    those of its points by d - r and d + r with r half its diagonal, and only blocks that can hold the largest one
    remain.

    Args:
        source: whole coordinates, shape (n, k), n at least 1.
        target: likewise, shape (m, k), m at least 1.
        scale: each axis is multiplied by it, shape (k,).
    """
    from scipy.spatial import KDTree

    unit = np.asarray(scale, dtype=np.float64)
    tree = KDTree(target * unit, balanced_tree=False, compact_nodes=False)
    if len(source) > _MANY:
        blocks, member = np.unique(source // _BLOCK, axis=0, return_inverse=True)
        radius = float(np.linalg.norm(unit * (_BLOCK - 1) / 2))
        middle = np.asarray(tree.query((blocks * _BLOCK + (_BLOCK - 1) / 2) * unit)[0])
        hopeful = middle + radius >= middle.max() - radius
        source = source[hopeful[member.reshape(-1)]]
    return float(np.max(tree.query(source * unit)[0]))


def _chosen(masks: Runs, chosen: Ints) -> Runs:
    """Some of the masks."""
    counts = np.diff(masks.first)[chosen]
    total = np.cumsum(counts)
    run = np.arange(total[-1], dtype=np.int64) + np.repeat(masks.first[chosen] - (total - counts), counts)
    first = np.concatenate([[0], total]).astype(np.int64)
    return Runs(masks.starts[run], masks.ends[run], first, masks.height[chosen], masks.width[chosen])


def _voxels(masks: Runs, depth: Ints, shape: tuple[int, int, int], order: str) -> Ints:
    """The set voxels of a volume, each once, as numbers in the order of the shape, ascending."""
    mask, position = pixels(masks)
    _, high, wide = shape
    if order == "columns":
        position = position % high * wide + position // high
    return np.unique(depth[mask] * (high * wide) + position)


def _distance(truth: Ints, predicted: Ints, shape: tuple[int, int, int], cutoff: float) -> float:
    if not len(truth) or not len(predicted) or len(predicted) > cutoff * len(truth):
        return 1.0
    a, b = (np.column_stack(np.unravel_index(voxels, shape)) for voxels in (truth, predicted))
    far = [
        directed_hausdorff(source[extra], _surface(target), 1 / np.asarray(shape))
        for source, target, extra in (
            (a, b, ~np.isin(truth, predicted, assume_unique=True)),
            (b, a, ~np.isin(predicted, truth, assume_unique=True)),
        )
        if extra.any()  # a point that both have is at distance 0
    ]
    return max(far, default=0.0) / 3**0.5


def _surface(points: Ints) -> Ints:
    """The voxels with a free neighbour: seen from outside one of them is always the nearest."""
    low = points.min(axis=0) - 1
    solid = np.zeros(points.max(axis=0) - low + 2, dtype=bool)
    at = tuple((points - low).T)
    solid[at] = True
    inner = np.ones_like(solid)
    for axis in range(points.shape[1]):
        inner &= np.roll(solid, 1, axis) & np.roll(solid, -1, axis)
    return np.asarray(points[~inner[at]])
