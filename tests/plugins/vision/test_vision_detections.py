"""Metrics of boxes in a plane and of points against plain loops, and against scikit-learn."""

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mleb_vision.average_precision import (
    interpolated_average_precision,
    sampled_average_precision,
    step_average_precision,
)
from mleb_vision.cells import CellError
from mleb_vision.coco import coco_mean_average_precision, read_detections
from mleb_vision.detections import detection_mean_average_precision, read_boxes
from mleb_vision.items import Items
from mleb_vision.matching import claims, group_pairs
from mleb_vision.points import point_in_box_f1, read_points
from mleb_vision.points import read_boxes as read_point_boxes


def overlap(a, b):
    """IoU of corners, plainly."""
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / union if union > 0 else 0.0


def drawn_boxes(draw, rows, labels, most, truth=()):
    """Items (confidence, corners), half of them near some truth; confidences tie often."""
    items = []
    for row in range(rows):
        for _ in range(draw.integers(0, most + 1)):
            corner, size = draw.integers(0, 20, 2), draw.integers(1, 8, 2)
            label = labels[draw.integers(len(labels))]
            near = [t for t in truth if t[0] == row]
            if near and draw.random() < 0.6:
                _, label, _, *box = near[draw.integers(len(near))]
                corner, size = np.array(box[:2]) + draw.integers(0, 2, 2), np.array(box[2:]) - np.array(box[:2])
            items.append((row, label, float(draw.choice([0.1, 0.5, 0.9, -1, 0])), *corner, *(corner + size)))
    return items


def as_items(rows, kind=object):
    return Items(
        np.array([r[0] for r in rows], dtype=np.int64),
        np.array([r[1] for r in rows], dtype=kind),
        np.array([r[2:] for r in rows], dtype=float).reshape(len(rows), 5),
    )


@pytest.mark.parametrize("seed", range(50))
def test_average_precisions(seed):
    draw = np.random.default_rng(seed)
    n = int(draw.integers(1, 30))
    hit, confidence = draw.random(n) < 0.5, draw.choice([0.1, 0.2, 0.5, 0.9], n)
    if hit.any():
        assert step_average_precision(hit, confidence) == pytest.approx(average_precision_score(hit, confidence))
    positives = int(hit.sum() + draw.integers(1, 4))
    curve = [(sum(hit[:k]) / positives, sum(hit[:k]) / k) for k in range(1, n + 1)]

    def envelope(recall):
        return max((p for r, p in curve if r >= recall), default=0.0)

    steps = [k / positives for k in range(1, positives + 1)]
    assert interpolated_average_precision(hit, positives) == pytest.approx(sum(map(envelope, steps)) / positives)
    points = np.linspace(0, 1, 101)
    assert sampled_average_precision(hit, positives) == pytest.approx(np.mean([envelope(r) for r in points]))


def test_nothing_found_has_no_precision():
    assert step_average_precision([False], [0.5]) == 0
    assert interpolated_average_precision([], 3) == 0
    assert sampled_average_precision([], 3) == 0


def plain_detection_map(truth, predicted, rows, mode):
    scores = []
    for label in sorted({t[1] for t in truth}):
        pairs = []
        for row in range(rows):
            true = [t[3:] for t in truth if t[:2] == (row, label)]
            mine = [p for p in predicted if p[:2] == (row, label)]
            if not true and not mine:
                pairs.append((False, 0.0, "bare"))
            for guess in sorted(mine, key=lambda p: -p[2]):
                best = max(range(len(true)), key=lambda i: overlap(guess[3:], true[i]), default=None)
                found = best is not None and overlap(guess[3:], true[best]) > 0.5
                if found:
                    true.pop(best)
                pairs.append((found, guess[2], "guess"))
            pairs += [(True, 0.0, "missed")] * len(true)
        if mode == "step":
            scores.append(average_precision_score([p[0] for p in pairs], [p[1] for p in pairs]))
        else:
            guesses = sorted((p for p in pairs if p[2] == "guess"), key=lambda p: -p[1])
            positives = sum(t[1] == label for t in truth)
            scores.append(interpolated_average_precision([p[0] for p in guesses], positives))
    return np.mean(scores)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("mode", ["step", "interpolated"])
def test_detection_mean_average_precision(seed, mode):
    draw = np.random.default_rng(seed)
    rows = int(draw.integers(1, 7))
    truth = drawn_boxes(draw, rows, ["opacity", "none"], 3)
    truth.append((rows - 1, "opacity", 1.0, 0, 0, 5, 5))  # the last row has something
    predicted = drawn_boxes(draw, rows, ["opacity", "none", "other"], 5, truth)
    got = detection_mean_average_precision(as_items(truth), as_items(predicted), average_precision=mode)
    assert got == pytest.approx(plain_detection_map(truth, predicted, rows, mode))


def test_a_box_with_a_corner_at_infinity_matches_nothing():
    truth = read_boxes(["opacity 1 0 0 2 2"])
    for corner in ("nan", "inf"):
        assert detection_mean_average_precision(truth, read_boxes([f"opacity 1 0 0 2 {corner}"])) == pytest.approx(0.5)
    with pytest.raises(CellError, match="a confidence is nan"):
        read_boxes(["opacity nan 0 0 2 2"])


def plain_coco(truth, predicted, threshold, sizes, number_zero):
    """The COCO API's loops, image by image."""

    def iou(a, b):
        if not sizes:
            return overlap(a, b)
        w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
        h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
        return w * h / (a[2] * a[3] + b[2] * b[3] - w * h) if w > 0 and h > 0 else 0.0

    def outside(p):
        area = (p[5] - p[3]) * (p[6] - p[4])
        return area < 0 or area > 1e10

    truth, predicted = ([(*items[i], i) for i in range(len(items))] for items in (truth, predicted))
    scores = []
    for label in sorted({t[1] for t in truth}):
        pooled, positives = [], 0
        for image in sorted({t[0] for t in truth} | {p[0] for p in predicted}):
            true = [t for t in truth if t[0] == image and t[1] == label]
            mine = sorted((p for p in predicted if p[0] == image and p[1] == label), key=lambda p: -p[2])[:3]
            positives += len(true)
            taken = set()
            for guess in mine:
                best, best_iou = None, threshold
                for t in true:
                    if t[-1] in taken or iou(guess[3:7], t[3:7]) < best_iou:
                        continue
                    best, best_iou = t[-1], iou(guess[3:7], t[3:7])
                if best is not None and not (number_zero and guess[-1] == 0):
                    taken.add(best)
                hit = best is not None and not (number_zero and best == 0)
                if hit or not outside(guess):
                    pooled.append((guess[2], hit))
        pooled.sort(key=lambda p: -p[0])
        hits = [p[1] for p in pooled]
        scores.append(sampled_average_precision(hits, positives))
    return np.mean(scores)


@pytest.mark.parametrize("seed", range(80))
@pytest.mark.parametrize("faulty", [True, False])
def test_coco_mean_average_precision(seed, faulty):
    draw = np.random.default_rng(seed)
    images = int(draw.integers(1, 6))
    truth = drawn_boxes(draw, images, [0, 3, 14], 3) or [(0, 3, 1.0, 0, 0, 5, 5)]
    predicted = drawn_boxes(draw, images, [0, 3, 14, 7], 8, truth)
    draw.shuffle(predicted)
    for i in range(0, len(predicted), 5):  # corners turned, and far too large
        row, label, confidence, x0, y0, x1, y1 = predicted[i]
        predicted[i] = (row, label, confidence, x1, y0, x0, y1) if i % 2 else (row, label, confidence, x0, y0, 2e5, 2e5)
    got = coco_mean_average_precision(
        as_items(truth, np.int64),
        as_items(predicted, np.int64),
        thresholds=[0.4, 0.7],
        max_detections=3,
        corners_as_sizes=faulty,
        number_zero_is_none=faulty,
    )
    plain = [plain_coco(truth, [tuple(p) for p in predicted], t, faulty, faulty) for t in (0.4, 0.7)]
    assert got == pytest.approx(np.mean(plain))


def test_true_boxes_of_negative_area_are_ignored():
    truth = [(0, 3, 1.0, 0, 0, 5, 5), (0, 3, 1.0, 5, 0, 0, 5)]
    guess = [(0, 3, 0.5, 0, 0, 5, 5), (0, 3, 0.9, 5, 0, 0, 5)]
    assert coco_mean_average_precision(as_items(truth, np.int64), as_items(guess, np.int64)) == pytest.approx(1)


def test_perfect_detections_score_one_and_the_published_fault_less():
    truth = [(image, 3, 1.0, 0, 0, 5 + image, 5) for image in range(4)]
    items = as_items(truth, np.int64)
    assert coco_mean_average_precision(items, items) == pytest.approx(1)
    assert coco_mean_average_precision(items, items, number_zero_is_none=True) < 1
    assert math.isnan(coco_mean_average_precision(items.take(np.zeros(0, dtype=int)), items))


def test_detections_are_read():
    items = read_detections(["14.7 1 0 0 1 1 3 0.5 1e1 2 3 4", "0 -2 1 1 2 2"])
    assert items.row.tolist() == [0, 0, 1]
    assert items.label.tolist() == [14, 3, 0]
    assert items.numbers.tolist() == [[1, 0, 0, 1, 1], [0.5, 10, 2, 3, 4], [-2, 1, 1, 2, 2]]
    for text, problem in {
        "nan 1 0 0 1 1": "class 'nan'",
        "inf 1 0 0 1 1": "class 'inf'",
        "car 1 0 0 1 1": "class 'car'",
        "1 1 0 0 1": "5 words",
        "1  1 0 0 1": "a word is empty",
        "1 1 0 0 1 1 ": "7 words",
        "1 nan 0 0 1 1": "a confidence is nan",
        "1 1 0 inf 1 1": "a y_min is inf",
        "1 1 0 x 1 1": "'x' is not a number",
    }.items():
        with pytest.raises(CellError) as caught:
            read_detections(["1 1 0 0 1 1", text])
        assert problem in caught.value.problem
        assert caught.value.position == 1


def plain_point_hits(truth, predicted):
    used, hits = set(), 0
    for row, label, x, y, w, h in truth:
        for j, (other, name, px, py) in enumerate(predicted):
            if j not in used and other == row and name == label and x < px < x + w and y < py < y + h:
                used.add(j)
                hits += 1
                break
    return hits


def drawn_points(draw, rows):
    truth = [
        (row, f"U+{draw.integers(2)}", *draw.integers(0, 6, 2).tolist(), *draw.integers(1, 6, 2).tolist())
        for row in range(rows)
        for _ in range(draw.integers(0, 4))
    ]
    predicted = [
        (row, f"U+{draw.integers(3)}", *draw.choice([1.0, 2.5, 3.0, 5.5, np.nan, np.inf], 2).tolist())
        for row in range(rows)
        for _ in range(draw.integers(0, 5))
    ]
    return truth, predicted


def point_items(rows, numbers):
    return Items(
        np.array([r[0] for r in rows], dtype=np.int64),
        np.array([r[1] for r in rows], dtype=object),
        np.array([r[2:] for r in rows], dtype=float).reshape(len(rows), numbers),
    )


@pytest.mark.parametrize("seed", range(80))
def test_point_in_box_f1(seed):
    draw = np.random.default_rng(seed)
    truth, predicted = drawn_points(draw, int(draw.integers(1, 4)))

    def f1(hits):
        p, r = hits / max(len(predicted), 1), hits / max(len(truth), 1)
        return 2 * p * r / (p + r) if hits else 0.0

    got = point_in_box_f1(point_items(truth, 4), point_items(predicted, 2))
    assert got == pytest.approx(f1(plain_point_hits(truth, predicted)))
    if len(truth) <= 6:
        orders = itertools.permutations(truth)
        most = max(plain_point_hits(order, some) for order in orders for some in (predicted, predicted[::-1]))
        best = point_in_box_f1(point_items(truth, 4), point_items(predicted, 2), matching="most")
        assert best >= f1(most) - 1e-12
        assert best <= f1(min(len(truth), len(predicted))) + 1e-12


def test_the_order_of_overlapping_boxes_can_lose_a_hit():
    truth = read_point_boxes(["a 0 0 10 10 a 4 4 2 2"])
    points = read_points(["a 5 5 a 1 1"])
    assert point_in_box_f1(truth, points) == pytest.approx(0.5)
    assert point_in_box_f1(truth, points, matching="most") == pytest.approx(1)


def test_pages_may_be_limited():
    read_points(["a 1 1 a 2 2", ""], limit=2)
    with pytest.raises(CellError, match="3 points; at most 2"):
        read_points(["", "a 1 1 a 2 2 a 3 3"], limit=2)


def test_pairs_come_in_pieces_without_loss(monkeypatch):
    draw = np.random.default_rng(0)
    left, right = draw.integers(0, 5, 40), draw.integers(0, 6, 30)
    expected = [(i, j) for i in range(40) for j in range(30) if left[i] == right[j]]

    def pairs():
        return [pair for a, b in group_pairs(left, right) for pair in zip(a.tolist(), b.tolist(), strict=True)]

    assert pairs() == expected
    fit = lambda a, b: (a * 7 + b * 3) % 5 - 1.0  # noqa: E731
    whole = claims(left, right, fit, above=0)
    monkeypatch.setattr("mleb_vision.matching._PAIRS", 10)
    assert pairs() == expected
    assert claims(left, right, fit, above=0) == whole
