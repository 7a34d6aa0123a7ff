import json
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mleb_core.errors import UsageError
from mleb_familiarity.passages import passages_on, pieces
from mleb_familiarity.plot import scatter
from mleb_familiarity.relation import relation
from mleb_familiarity.scores import normalised

LONG = "Words that say something of the competition. " * 5


def test_passages_of_every_kind(tmp_path):
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "a.txt").write_text(LONG)
    html = f"<html><style>p {{}}</style><script>var x;</script><h1>Birds &amp; songs</h1><p>{LONG}</p><p>End</p></html>"
    (tmp_path / "birds" / "b.html").write_text(html)
    cells = [{"cell_type": "markdown", "source": ["# Birds\n", LONG]}, {"cell_type": "code", "source": "x = 1"}]
    (tmp_path / "birds" / "c.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "birds" / "d.md").write_text("too short")
    (tmp_path / "birds" / "e.ipynb").write_text("{")
    (tmp_path / "birds" / "f.csv").write_text(LONG)
    (tmp_path / "birds.md").write_text(LONG)
    (tmp_path / "fish.txt").write_text(LONG)
    found, problems = passages_on(tmp_path, "birds")
    assert [one.name for one in found] == ["birds.md", "birds/a.txt", "birds/b.html", "birds/c.ipynb"]
    assert found[2].text == f"Birds & songs\n\n{LONG.strip()}\n\nEnd"
    assert found[3].text == f"# Birds\n{LONG.strip()}"
    assert [problem.partition(":")[0] for problem in problems] == ["birds/d.md", "birds/e.ipynb"]
    assert passages_on(tmp_path, "snakes") == ([], [])
    with pytest.raises(UsageError, match="is no folder"):
        passages_on(tmp_path / "nowhere", "birds")


@given(st.text("ab \n", max_size=200), st.integers(4, 40))
def test_pieces_lose_nothing(text, characters):
    found = pieces(text, characters)
    assert all(0 < len(piece) <= characters for piece in found)
    assert "".join(found).rstrip() == text.rstrip() or not text.strip()


@pytest.mark.parametrize(
    ("score", "sample", "gold", "expected"),
    [
        (0.5, 0.5, 0.9, 0.0),
        (0.9, 0.5, 0.9, 1.0),
        (0.7, 0.5, 0.9, 0.5),
        (0.2, 1.0, 0.2, 1.0),  # lower is better
        (0.6, 1.0, 0.2, 0.5),
        (2.0, 1.0, 0.5, -2.0),
        (0.5, 0.9, 0.9, None),
        (math.inf, 0.5, 0.9, None),
        (0.5, math.nan, 0.9, None),
    ],
)
def test_normalised_scores(score, sample, gold, expected):
    found = normalised(score, sample, gold)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_rank_correlation_of_known_tables():
    rising = [(x / 10, x**3) for x in range(8)]
    assert relation(rising).rho == pytest.approx(1)
    assert relation([(x, -y) for x, y in rising]).rho == pytest.approx(-1)
    # 1 - 6 * sum d^2 / (n (n^2 - 1)), d = 0, 1, 1, 0, 0
    assert relation([(1, 1), (2, 3), (3, 2), (4, 4), (5, 5)]).rho == pytest.approx(1 - 6 * 2 / (5 * 24))


def test_what_has_no_correlation():
    assert relation([]).rho is None
    assert relation([(1, 1), (2, 2)]).rho is None
    assert relation([(1, 1), (1, 2), (1, 3)]).rho is None
    three = relation([(1, 1), (2, 3), (3, 2)])
    assert three.rho == pytest.approx(0.5) and three.interval is None


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=12))
def test_the_interval_is_that_of_drawing_one_by_one(pairs):
    found = relation(pairs, draws=60, seed=3)
    if found.rho is None:
        return
    values = np.asarray(pairs, dtype=float)
    slow = []
    for row in np.random.default_rng(3).integers(len(pairs), size=(60, len(pairs))):
        x, y = values[row].T
        if len(set(x)) > 1 and len(set(y)) > 1:
            slow.append(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])
    assert found.interval == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    draw = np.random.default_rng(0)
    held = 0
    for _ in range(60):
        x = draw.normal(size=40)
        low, high = relation(list(zip(x, draw.normal(size=40), strict=True)), draws=400).interval
        held += low <= 0 <= high
    assert 50 <= held <= 60


def test_the_picture_is_svg_with_a_point_for_each_competition():
    agents = {
        "a<b": [("birds & co", 0.5, 0.7), ("fish", 0.6, -9.0)],
        "two": [("birds & co", 0.4, 3.0)],
    }
    root = ET.fromstring(scatter(agents, title="a <title>", x_label="x", y_label="y"))
    space = "{http://www.w3.org/2000/svg}"
    circles = root.findall(f"{space}circle")
    told = [circle.findtext(f"{space}title") for circle in circles]
    assert [text for text in told if text] == [
        "a<b, birds & co: familiarity 0.5000, score 0.7000",
        "a<b, fish: familiarity 0.6000, score -9.0000",
        "two, birds & co: familiarity 0.4000, score 3.0000",
    ]
    for circle in circles:
        assert 0 < float(circle.get("cx")) < 720 and 0 < float(circle.get("cy")) < 480
    assert {text.text for text in root.findall(f"{space}text")} >= {"a <title>", "x", "y", "a<b", "two"}
    ET.fromstring(scatter({"one": [("same", 0.5, 0.5)]}, title="", x_label="", y_label=""))
