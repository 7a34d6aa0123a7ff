"""Boxes in space against other geometry and plain loops."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from mleb_vision.boxes3d import broken_boxes, corners, iou_3d, mean_average_precision_3d, overlap_area, read_boxes
from mleb_vision.cells import CellError


def hull_overlap(a, b):
    """Area common to two convex polygons: the hull of the corners inside the other one and of all crossings."""

    def inside(point, polygon):
        ends = np.roll(polygon, -1, axis=0)
        return all(
            (e - s)[0] * (point - s)[1] - (e - s)[1] * (point - s)[0] >= -1e-9
            for s, e in zip(polygon, ends, strict=True)
        )

    points = [p for p in a if inside(p, b)] + [p for p in b if inside(p, a)]
    for s, e in zip(a, np.roll(a, -1, axis=0), strict=True):
        for t, f in zip(b, np.roll(b, -1, axis=0), strict=True):
            sides = np.column_stack([e - s, t - f])
            if abs(np.linalg.det(sides)) > 1e-12:
                u, v = np.linalg.solve(sides, t - s)
                if 0 <= u <= 1 and 0 <= v <= 1:
                    points.append(s + u * (e - s))
    points = np.unique(np.round(points, 9), axis=0) if points else np.zeros((0, 2))
    if len(points) < 3 or np.linalg.matrix_rank(points[1:] - points[0], tol=1e-7) < 2:
        return 0.0
    return ConvexHull(points).volume


def drawn(draw, n):
    """Boxes (x, y, z, width, length, height, yaw)."""
    return np.column_stack([draw.normal(0, 1.5, (n, 3)), draw.uniform(0.3, 4, (n, 3)), draw.uniform(-7, 7, n)])


@pytest.mark.parametrize("seed", range(10))
def test_overlap_of_turned_rectangles(seed):
    draw = np.random.default_rng(seed)
    a, b = corners(drawn(draw, 60)), corners(drawn(draw, 60))
    expected = [hull_overlap(x, y) for x, y in zip(a, b, strict=True)]
    assert sum(v > 0 for v in expected) > 20
    assert overlap_area(a, b) == pytest.approx(expected, abs=1e-6)
    assert overlap_area(b, a) == pytest.approx(expected, abs=1e-6)


def test_overlap_of_rectangles_that_share_sides():
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], dtype=float)
    cases = [
        (square, 4),
        (square + np.array([1, 0]), 2),
        (square + np.array([2, 0]), 0),
        (square + np.array([2, 2]), 0),
        (square + np.array([5, 5]), 0),
        (square * 0.5, 1),
        (square * 3 - 1, 4),
    ]
    for other, area in cases:
        assert overlap_area(square[None], other[None]) == pytest.approx(area)
    triangle = np.array([[0, 0], [2, 0], [0, 2]], dtype=float)
    assert overlap_area(triangle[None], square[None] / 2) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_iou_far_from_the_origin(seed):
    draw = np.random.default_rng(seed)
    a = drawn(draw, 50)
    a[:, :2] += 3000
    assert iou_3d(a, a) == pytest.approx(1)
    half_turn = a + np.array([0, 0, 0, 0, 0, 0, np.pi])
    assert iou_3d(a, half_turn) == pytest.approx(1)
    lifted = a.copy()
    lifted[:, 2] += a[:, 5] / 5
    assert iou_3d(a, lifted) == pytest.approx(0.8 / 1.2)
    ahead = a.copy()
    ahead[:, :2] += np.column_stack([np.cos(a[:, 6]), np.sin(a[:, 6])]) * a[:, 4:5] / 4
    assert iou_3d(a, ahead) == pytest.approx(0.75 / 1.25)


def test_length_lies_along_the_heading():
    (ground,) = corners(np.array([[10, 20, 0, 1, 4, 2, np.pi / 2]], dtype=float))
    assert np.ptp(ground, axis=0) == pytest.approx([1, 4])


def text(boxes):
    """Boxes as a cell."""
    return " ".join(" ".join([*map(repr, map(float, numbers)), label]) for label, *numbers in boxes)


def plain_map(truth, predicted, thresholds, absent):
    samples = []
    for true, mine in zip(truth, predicted, strict=True):
        if not true:
            continue
        classes = {t[0] for t in true} | ({p[0] for p in mine} if absent == "zero" else set())
        for threshold in thresholds:
            scores = []
            for name in classes:
                boxes = np.array([t[2:] for t in true if t[0] == name], dtype=float)
                guesses = sorted((p for p in mine if p[0] == name), key=lambda p: -p[1])
                taken, recall, precision = set(), [0.0], [0.0]
                for k, guess in enumerate(guesses, 1):
                    if len(boxes):
                        iou = iou_3d(np.tile(np.array(guess[2:], dtype=float), (len(boxes), 1)), boxes)
                        best = int(np.argmax(iou))
                        if iou[best] > threshold:
                            taken.add(best)
                    recall.append(len(taken) / len(boxes) if len(boxes) else 0.0)
                    precision.append(len(taken) / k)
                recall.append(1.0)
                precision.append(0.0)
                for i in range(len(precision) - 1, 0, -1):
                    precision[i - 1] = max(precision[i - 1], precision[i])
                scores.append(sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall))))
            samples.append(np.mean(scores))
    return np.mean(samples)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("absent", ["ignored", "zero"])
def test_mean_average_precision_3d(seed, absent):
    draw = np.random.default_rng(seed)
    truth, predicted = [], []
    for _ in range(draw.integers(1, 6)):
        boxes = drawn(draw, int(draw.integers(1, 6)))
        boxes[:, :2] *= 3
        truth.append([(draw.choice(["car", "truck"]), 1.0, *box) for box in boxes])
        mine = [
            (name, draw.choice([0.2, 0.5, 0.9]), *(np.array(box) * (1 + draw.normal(0, 0.02, 7))))
            for name, _, *box in truth[-1]
            for _ in range(draw.integers(0, 3))
        ]
        mine += [("animal", 0.7, *drawn(draw, 1)[0])] * int(draw.integers(0, 2))
        mine += [("car", draw.random(), *box) for box in drawn(draw, int(draw.integers(0, 3)))]
        predicted.append([mine[i] for i in draw.permutation(len(mine))])
    truth.append([])
    predicted.append([("car", 0.5, *drawn(draw, 1)[0])])
    thresholds = [0.3, 0.5, 0.8]
    got = mean_average_precision_3d(
        read_boxes([text(boxes) for boxes in truth]),
        read_boxes([text(boxes) for boxes in predicted]),
        thresholds=thresholds,
        absent_classes=absent,
    )
    assert got == pytest.approx(plain_map(truth, predicted, thresholds, absent))


def test_boxes_are_read():
    assert len(read_boxes(["", "  ", "1 2 3 4 5 6 7 8 two"])) == 1
    for cell, problem in {
        "1 2 3 4 5 6 7 8": "8 words",
        "1 2 3 4 5 6 7 8 car ": "10 words",
        "1 2 3 4 5 6 7  car": "a word is empty",
        "1 2 3 4 5 6 7 yaw car": "'yaw' is not a number",
    }.items():
        with pytest.raises(CellError) as caught:
            read_boxes(["", cell])
        assert problem in caught.value.problem
        assert caught.value.position == 1


def test_broken_boxes_are_found():
    cases = {
        "1 0 0 0 1 1 1 0 a": None,
        "1 3305 2364 -20 2 20 4 0.89 a": None,
        "nan 0 0 0 1 1 1 0 a": "a number is not finite",
        "1 0 inf 0 1 1 1 0 a": "a number is not finite",
        "1 0 0 0 0 1 1 0 a": "a width, length or height is not above 0",
        "1 0 0 0 1 1 -1 0 a": "a width, length or height is not above 0",
        "1 3305.31 2364.77 0 1e7 1.3e7 1 0.89 a": "a box is too large: its corners are no right angles any more",
        "1 0 0 0 1e300 1e300 1 0.89 a": "a box is too large: its corners are no right angles any more",
    }
    assert broken_boxes(read_boxes(list(cases))).tolist() == list(cases.values())
