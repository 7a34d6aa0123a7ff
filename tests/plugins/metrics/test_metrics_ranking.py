"""Ranked lists and directions against loops that follow the definitions."""

import math

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mleb_core.errors import GraderError
from mleb_metrics import geometry, ranking

item = st.sampled_from(["a", "b", "c", "d", "07", "7"])
tables = st.lists(st.tuples(st.lists(item, max_size=5), st.lists(item, max_size=8)), min_size=1, max_size=15)


def average_precision(truth, predicted, k):
    truth, hits, total = set(truth), 0, 0.0
    for place, guess in enumerate(predicted[:k], 1):
        if guess in truth and guess not in predicted[: place - 1]:
            hits += 1
            total += hits / place
    return total / min(len(truth), k) if truth else 0.0


def column(lists, separator=" "):
    return np.array([separator.join(items) for items in lists], dtype=object)


@settings(deadline=None)
@given(tables, st.integers(1, 9))
def test_map_at_k_list_by_list(rows, k):
    expected = np.mean([average_precision(t, p, k) for t, p in rows])
    got = ranking.map_at_k(column(t for t, _ in rows), column(p for _, p in rows), k=k)
    assert got == pytest.approx(expected, abs=1e-12)


def one(truth, predicted, **options):
    return ranking.map_at_k(np.array([truth], dtype=object), np.array([predicted], dtype=object), **options)


def test_map_at_k_of_one_true_item_is_the_reciprocal_rank():
    assert one("x", "a x b", k=5) == 0.5
    assert one("x", "a a x", k=5) == pytest.approx(1 / 3)
    assert one("x", "a x x", k=5) == 0.5
    assert one("x", "a b c d e x", k=5) == 0
    assert one("x", None, k=5) == one("x", "", k=5) == one("x", float("nan"), k=5) == 0


def test_an_exact_separator_gives_empty_items_a_rank():
    assert one("x", "  x", k=5, separator=" ") == pytest.approx(1 / 3)
    assert one("x", "  x", k=5) == 1
    assert one("x", "x,y", k=5, separator=" ") == 0
    assert one("x", "y,x", k=5, separator=",") == 0.5


def test_numbers_are_compared_as_text():
    truth = np.array(["7", "12"], dtype=object)
    zeros = np.array(["007", "012"], dtype=object)
    assert ranking.map_at_k(truth, zeros, k=3) == 0
    assert ranking.map_at_k(np.array([7, 12]), np.array([7, 13]), k=3) == 0.5
    assert ranking.map_at_k(truth, np.array([7.0, np.nan]), k=3) == 0


def test_map_at_k_refuses_what_cannot_be():
    with pytest.raises(GraderError, match="at least 1"):
        one("x", "x", k=0)
    with pytest.raises(ValueError, match="same number"):
        ranking.map_at_k(np.array(["a"], dtype=object), np.array(["a", "b"], dtype=object), k=1)


def lwlrap_by_loop(truth, scores):
    precisions = []
    for t, s in zip(truth, scores, strict=True):
        precisions += [np.sum(s[t] >= s[j]) / np.sum(s >= s[j]) for j in np.flatnonzero(t)]
    return np.mean(precisions)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.booleans(), st.integers(-2, 3)), min_size=4, max_size=4), min_size=1, max_size=12)
)
def test_lwlrap_label_by_label(rows):
    table = np.array(rows, dtype=float)
    t, s = table[:, :, 0] == 1, table[:, :, 1]
    assume(t.any())
    assert ranking.lwlrap(t, s) == pytest.approx(lwlrap_by_loop(t, s), abs=1e-12)
    kept = t.any(axis=1)
    expected = sk.label_ranking_average_precision_score(t[kept], s[kept], sample_weight=t[kept].sum(axis=1))
    assert ranking.lwlrap(t, s) == pytest.approx(expected, abs=1e-12)


def test_lwlrap_edge_cases():
    assert ranking.lwlrap([[1, 0, 1, 0]], [[3, 0, 9, 1]]) == 1
    assert ranking.lwlrap([[1, 0, 0, 0]], [[1, 1, 1, 1]]) == 0.25
    assert math.isnan(ranking.lwlrap([[1, 0]], [[np.nan, 1]]))
    with pytest.raises(GraderError, match="no true label"):
        ranking.lwlrap([[0, 0]], [[0, 1]])


def test_angles_are_those_between_unit_vectors():
    rng = np.random.default_rng(0)
    t = np.column_stack([rng.uniform(0, 2 * math.pi, 500), rng.uniform(0, math.pi, 500)])
    p = t + rng.normal(size=t.shape)

    def vectors(angles):
        azimuth, zenith = angles.T
        return np.column_stack([np.cos(azimuth) * np.sin(zenith), np.sin(azimuth) * np.sin(zenith), np.cos(zenith)])

    a, b = vectors(t), vectors(p)
    # atan2 of cross and dot product is exact where arccos is steep.
    angle = np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), np.sum(a * b, axis=1))
    assert geometry.mean_angular_error(t, p) == pytest.approx(angle.mean(), abs=1e-7)
    assert geometry.mean_angular_error(t, t) == pytest.approx(0, abs=1e-7)
    assert geometry.mean_angular_error(t, t + np.array([math.pi, 0])) <= math.pi
    assert geometry.mean_angular_error([[0, 0]], [[0, math.pi]]) == pytest.approx(math.pi)
    assert geometry.mean_angular_error(t, p + np.array([2 * math.pi, 0])) == pytest.approx(
        geometry.mean_angular_error(t, p)
    )


def test_angles_in_chunks_are_the_same(monkeypatch):
    rng = np.random.default_rng(1)
    t, p = rng.random((1001, 2)), rng.random((1001, 2))
    whole = geometry.mean_angular_error(t, p)
    monkeypatch.setattr(geometry, "CHUNK", 100)
    assert geometry.mean_angular_error(t, p) == pytest.approx(whole, rel=1e-12)


def test_distances_by_trip():
    rng = np.random.default_rng(2)
    trips = np.array([*"abc" * 40, "d"], dtype=object)
    t = np.column_stack([rng.uniform(-80, 80, trips.size), rng.uniform(-180, 180, trips.size)])
    p = t + rng.normal(scale=1, size=t.shape)

    def distance(a, b):
        """By the angle between unit vectors."""
        (lat1, lon1), (lat2, lon2) = map(np.deg2rad, (a, b))
        u, v = (
            [math.cos(x) * math.cos(y), math.cos(x) * math.sin(y), math.sin(x)] for x, y in ((lat1, lon1), (lat2, lon2))
        )
        return 6371000 * math.atan2(np.linalg.norm(np.cross(u, v)), np.dot(u, v))

    def percentile(values, share):
        """Linear between the two nearest."""
        values = sorted(values)
        place = share * (len(values) - 1)
        low = math.floor(place)
        return values[low] + (place - low) * (values[min(low + 1, len(values) - 1)] - values[low])

    each = np.array([distance(a, b) for a, b in zip(t, p, strict=True)])
    score = np.mean([(percentile(each[trips == g], 0.5) + percentile(each[trips == g], 0.95)) / 2 for g in "abcd"])
    assert geometry.p50_p95_haversine_distance(t, p, groups=trips) == pytest.approx(score, rel=1e-9)
    together = (percentile(each, 0.5) + percentile(each, 0.95)) / 2
    assert geometry.p50_p95_haversine_distance(t, p) == pytest.approx(together, rel=1e-9)
    assert geometry.p50_p95_haversine_distance(t, t, groups=trips) == 0
    antipode = geometry.p50_p95_haversine_distance([[0, 0]], [[0, 180]])
    assert antipode == pytest.approx(math.pi * geometry.EARTH_RADIUS)


def test_pairs_of_columns_are_expected():
    with pytest.raises(ValueError, match="two columns"):
        geometry.mean_angular_error(np.zeros((3, 3)), np.zeros((3, 3)))
