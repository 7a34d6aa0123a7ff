"""Errors of directions and positions."""

import numpy as np
import numpy.typing as npt

from mleb_metrics.arrays import Floats, as_columns

__all__ = ["EARTH_RADIUS", "mean_angular_error", "p50_p95_haversine_distance"]

EARTH_RADIUS = 6_371_000.0
"""Metres, of the sphere that distances are measured on."""

CHUNK = 1_000_000
"""Rows computed at once: bounds memory at some 100 MB whatever the number of rows."""


def mean_angular_error(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean angle between two directions, in radians, from 0 to pi.

    The angle is arccos of sin(z1) sin(z2) (cos(a1) cos(a2) + sin(a1) sin(a2)) + cos(z1) cos(z2), cut to [-1, 1].

    Args:
        truth: azimuth a and zenith z, in radians, shape (n, 2).
        predicted: azimuth and zenith in radians, of any range, shape (n, 2).

    Source: the evaluation of the IceCube neutrino challenge.
    """
    a, b = _pairs(truth, predicted)
    total = 0.0
    for start in range(0, len(a), CHUNK):
        (az1, zen1), (az2, zen2) = a[start : start + CHUNK].T, b[start : start + CHUNK].T
        # cos(a1 - a2) is the sum in brackets, for a quarter of the trigonometry
        cosine = np.sin(zen1) * np.sin(zen2) * np.cos(az1 - az2) + np.cos(zen1) * np.cos(zen2)
        total += float(np.sum(np.arccos(np.clip(cosine, -1, 1))))
    return total / len(a)


def p50_p95_haversine_distance(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, groups: npt.ArrayLike | None = None
) -> float:
    """Mean of the 50th and the 95th percentile of distances, in metres; in each group, then plain mean over groups.

    The distance is 2 R arcsin(sqrt(sin²(dlat / 2) + cos(lat1) cos(lat2) sin²(dlon / 2))), R = 6371000 m; percentiles
    are interpolated linearly.

    Args:
        truth: latitude and longitude in degrees, shape (n, 2).
        predicted: latitude and longitude in degrees, shape (n, 2).
        groups: what a row belongs to (a trip), shape (n,); None: all rows are one group.

    Source: the evaluation of the Google Smartphone Decimeter Challenge 2022.
    """
    a, b = _pairs(truth, predicted)
    (lat1, lon1), (lat2, lon2) = np.deg2rad(a).T, np.deg2rad(b).T
    half = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    distance = 2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
    if groups is None:
        parts = [distance]
    else:
        _, group = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        parts = np.split(distance[np.argsort(group, kind="stable")], np.cumsum(np.bincount(group))[:-1])
    return float(np.mean([np.mean(np.percentile(part, [50, 95])) for part in parts]))


def _pairs(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Floats, Floats]:
    a, b = as_columns(truth, predicted)
    if a.shape[1] != 2:
        raise ValueError(f"two columns expected, got {a.shape[1]}")
    return a, b
