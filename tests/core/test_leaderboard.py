import json
import math
import random
from fractions import Fraction
from pathlib import Path

import pytest

from mleb_core.leaderboard import Thresholds, medal_places, standing, thresholds_from_scores


def share(percent: str, teams: int) -> int:
    return math.floor(Fraction(percent) / 100 * teams)


def places_by_the_rules(n: int) -> tuple[int, int, int]:
    """Kaggle's table once more, in exact fractions."""
    if n < 100:
        places = share("10", n), share("20", n), share("40", n)
    elif n < 250:
        places = 10, share("20", n), share("40", n)
    elif n < 1000:
        places = 10 + share("0.2", n), 50, 100
    else:
        places = 10 + share("0.2", n), share("5", n), share("10", n)
    return tuple(max(1, place) for place in places)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("teams", "places"),
    [
        (1, (1, 1, 1)),
        (2, (1, 1, 1)),
        (5, (1, 1, 2)),
        (9, (1, 1, 3)),
        (10, (1, 2, 4)),
        (99, (9, 19, 39)),
        (100, (10, 20, 40)),
        (249, (10, 49, 99)),
        (250, (10, 50, 100)),
        (499, (10, 50, 100)),
        (500, (11, 50, 100)),
        (999, (11, 50, 100)),
        (1000, (12, 50, 100)),
        (5000, (20, 250, 500)),
    ],
)
def test_medal_places_at_the_edges(teams, places):
    assert medal_places(teams) == places


def test_medal_places_for_every_size():
    for teams in range(1, 12_000):
        assert medal_places(teams) == places_by_the_rules(teams), teams


@pytest.mark.parametrize("teams", [0, -1])
def test_no_teams_no_places(teams):
    with pytest.raises(ValueError, match="at least one team"):
        medal_places(teams)


def test_thresholds_of_all_real_leaderboards(shared: Path):
    boards = json.loads((shared / "facts/leaderboards.json").read_text())
    facts = json.loads((shared / "facts/competitions.json").read_text())
    assert len(facts) == len(boards) == 82
    for fact in facts:
        scores = boards[fact["id"]]
        random.Random(1).shuffle(scores)
        found = thresholds_from_scores(scores, higher_is_better=not fact["is_lower_better"])
        assert (found.gold, found.silver, found.bronze, found.median) == (
            fact["gold"],
            fact["silver"],
            fact["bronze"],
            fact["median"],
        ), fact["id"]


def test_standings_on_all_real_leaderboards_agree_with_a_sort(shared: Path):
    boards = json.loads((shared / "facts/leaderboards.json").read_text())
    facts = json.loads((shared / "facts/competitions.json").read_text())
    for fact in facts:
        scores, higher = boards[fact["id"]], not fact["is_lower_better"]
        low, high = min(scores), max(scores)
        for score in (low, high, scores[len(scores) // 2], (low + high) / 2, low - 1, high + 1):
            ranked = sorted([*scores, score], reverse=higher)
            first = ranked.index(score)
            equal = ranked.count(score) - 1
            worse = len(ranked) - first - equal - 1
            found = standing(score, scores, higher_is_better=higher)
            assert found.place == first + 1
            assert found.teams == len(scores)
            assert found.percentile == pytest.approx(100 * (worse + equal / 2) / len(scores))


@pytest.mark.parametrize("higher", [True, False])
def test_standing_against_pairwise_comparison(higher):
    draw = random.Random(7)
    for _ in range(300):
        scores = [draw.randint(0, 6) for _ in range(draw.randint(1, 30))]
        score = draw.randint(-1, 7)
        beaten_by = won = drawn = 0
        for other in scores:
            if other == score:
                drawn += 1
            elif (other > score) is higher:
                beaten_by += 1
            else:
                won += 1
        found = standing(score, scores, higher_is_better=higher)
        assert (found.place, found.teams) == (1 + beaten_by, len(scores))
        assert found.percentile == pytest.approx(100 * (won + drawn / 2) / len(scores))


def test_standing_needs_scores():
    with pytest.raises(ValueError, match="at least one"):
        standing(0.5, [], higher_is_better=True)


def test_medals_when_higher_is_better():
    thresholds = Thresholds(gold=0.9, silver=0.8, bronze=0.7, median=0.5, higher_is_better=True)
    given = {0.95: "gold", 0.9: "gold", 0.89999: "silver", 0.8: "silver", 0.7: "bronze", 0.69999: "none"}
    assert {score: thresholds.medal(score) for score in given} == given


def test_medals_when_lower_is_better():
    thresholds = Thresholds(gold=0.1, silver=0.2, bronze=0.3, median=0.5, higher_is_better=False)
    given = {0.0: "gold", 0.1: "gold", 0.10001: "silver", 0.2: "silver", 0.3: "bronze", 0.30001: "none"}
    assert {score: thresholds.medal(score) for score in given} == given


def test_the_best_medal_counts_where_thresholds_are_tied():
    tied = thresholds_from_scores([1.0] * 50, higher_is_better=True)
    assert tied.medal(1.0) == "gold"
    assert tied.medal(0.99999) == "none"
    assert tied.above_median(1.0) is False


@pytest.mark.parametrize(("higher", "better", "worse"), [(True, 0.50001, 0.49999), (False, 0.49999, 0.50001)])
def test_the_median_is_strict(higher, better, worse):
    thresholds = Thresholds(0.5, 0.5, 0.5, 0.5, higher_is_better=higher)
    assert thresholds.above_median(better) is True
    assert thresholds.above_median(0.5) is False
    assert thresholds.above_median(worse) is False


def test_without_a_score_there_is_nothing():
    thresholds = Thresholds(0, 0, 0, 0, higher_is_better=False)
    assert thresholds.medal(None) == "none"
    assert thresholds.above_median(None) is False


def test_median_of_an_even_number_lies_between():
    assert thresholds_from_scores([1, 2, 3, 10], higher_is_better=True).median == 2.5


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_leaderboard_holds_finite_scores(broken):
    with pytest.raises(ValueError, match="finite"):
        thresholds_from_scores([1.0, broken], higher_is_better=True)
    with pytest.raises(ValueError, match="finite"):
        Thresholds(1.0, 1.0, 1.0, broken, higher_is_better=True)


def test_an_empty_leaderboard_is_refused():
    with pytest.raises(ValueError, match="at least one team"):
        thresholds_from_scores([], higher_is_better=True)


@pytest.mark.parametrize(("values", "higher"), [((1, 2, 3), True), ((3, 2, 1), False), ((3, 1, 2), True)])
def test_thresholds_against_their_direction_are_refused(values, higher):
    with pytest.raises(ValueError, match=f"{'higher' if higher else 'lower'} is better"):
        Thresholds(*values, median=0, higher_is_better=higher)
