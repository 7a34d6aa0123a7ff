"""Dice and Hausdorff distance of masks that are slices of volumes."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mleb_vision.masks import dice
from mleb_vision.runs import Runs, pixels

__all__ = ["dice_hausdorff", "directed_hausdorff"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
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
        a, b = (_volume(_chosen(masks, chosen), depth, shape, order) for masks in (truth, predicted))
        if a.any() or b.any():
            distances.append(_distance(a, b, cutoff))
    if np.isnan(scores).all():
        return float("nan")
    return 0.4 * float(np.nanmean(scores)) + 0.6 * (1.0 - float(np.mean(distances)))


def directed_hausdorff(source: Flags, target: Flags, scale: npt.ArrayLike) -> float:
    """Largest distance from a voxel of `source` to the nearest voxel of `target`, between their centres.

    Exact. Where there are many voxels, blocks of them are looked at first: the distance d of a block's centre bounds
    those of its voxels by d - r and d + r with r half its diagonal, and only blocks that can hold the largest one
    remain.

    Args:
        source: whether each voxel is set, an array of any number of axes.
        target: likewise, of the same shape; at least one is set.
        scale: length of a voxel's side along each axis.

    Source: Huttenlocher et al., Comparing images using the Hausdorff distance, IEEE PAMI 15, 1993.
    """
    from scipy.spatial import KDTree

    extra = source & ~target  # a voxel of both is at distance 0
    if not extra.any():
        return 0.0
    unit = np.asarray(scale, dtype=np.float64)
    tree = KDTree(np.argwhere(_surface(target)) * unit)
    if np.count_nonzero(extra) > _MANY:
        side = np.maximum((_BLOCK * unit.min() / unit).astype(np.int64), 1)  # nearly cubes, whatever the scale
        padded = np.pad(extra, [(0, int(-n % k)) for n, k in zip(extra.shape, side, strict=True)])
        folded = [part for n, k in zip(padded.shape, side.tolist(), strict=True) for part in (n // k, k)]
        blocks = np.asarray(padded.reshape(folded).any(axis=tuple(range(1, 2 * extra.ndim, 2))))
        middle = np.asarray(tree.query((np.argwhere(blocks) * side + (side - 1) / 2) * unit)[0])
        radius = float(np.linalg.norm(unit * (side - 1) / 2))
        blocks[blocks] = middle + radius >= middle.max() - radius
        for axis, k in enumerate(side.tolist()):
            blocks = np.repeat(blocks, k, axis=axis)
        extra &= blocks[tuple(map(slice, extra.shape))]
    return float(np.max(tree.query(np.argwhere(extra) * unit)[0]))


def _chosen(masks: Runs, chosen: Ints) -> Runs:
    """Some of the masks."""
    counts = np.diff(masks.first)[chosen]
    total = np.cumsum(counts)
    run = np.arange(total[-1], dtype=np.int64) + np.repeat(masks.first[chosen] - (total - counts), counts)
    first = np.concatenate([[0], total]).astype(np.int64)
    return Runs(masks.starts[run], masks.ends[run], first, masks.height[chosen], masks.width[chosen])


def _volume(masks: Runs, depth: Ints, shape: tuple[int, int, int], order: str) -> Flags:
    """The masks of a volume, each painted into its slice."""
    mask, position = pixels(masks)
    slices, high, wide = shape
    flat = np.zeros(slices * high * wide, dtype=bool)
    flat[depth[mask] * (high * wide) + position] = True
    return flat.reshape(slices, wide, high).swapaxes(1, 2) if order == "columns" else flat.reshape(shape)


def _distance(truth: Flags, predicted: Flags, cutoff: float) -> float:
    voxels, guessed = np.count_nonzero(truth), np.count_nonzero(predicted)
    if not voxels or not guessed or guessed > cutoff * voxels:
        return 1.0
    unit = 1 / np.asarray(truth.shape)
    return max(directed_hausdorff(truth, predicted, unit), directed_hausdorff(predicted, truth, unit)) / 3**0.5


def _surface(solid: Flags) -> Flags:
    """The voxels with a free neighbour, or none, on some side: from outside, one of them is always the nearest."""
    inner = np.ones_like(solid)
    for axis in range(solid.ndim):
        near = np.moveaxis(solid, axis, 0)
        deep = np.moveaxis(inner, axis, 0)
        deep[1:] &= near[:-1]
        deep[:-1] &= near[1:]
        deep[0] = deep[-1] = False
    return np.asarray(solid & ~inner)
