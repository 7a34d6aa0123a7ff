"""The human scores: fetched, kept best first, compared with the published figures."""

import pytest
from kaggle_server import Entry, Status, board, packed

from mleb_core.kaggle.leaderboard import fetch_leaderboard, read_scores
from mleb_core.kaggle.patience import Patience
from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare
from mleb_core.report.build import human_scores

QUICK = Patience(tries=2, first_s=0.001)
# 100 teams: gold place 10, silver 20, bronze 40, as the facts of the toy say; the median of places 50 and 51.
SCORES = [0.95] * 9 + [0.9] + [0.85] * 9 + [0.8] + [0.75] * 19 + [0.7] + [0.6] * 9 + [0.5] * 51
OTHERS = [0.99] * 101


@pytest.fixture
def data(tmp_path) -> CompetitionData:
    return CompetitionData.of(tmp_path / "data", "toy")


def test_scores_are_kept_best_first_and_read_by_reports(kaggle, make_competition, data, tmp_path):
    kaggle.competitions["toy"].leaderboard = board(SCORES[::-1])
    competition = make_competition()
    lines: list[str] = []
    prepare(competition, tmp_path / "data", progress=lines.append)
    assert not [line for line in lines if line.startswith("warning")]
    assert data.leaderboard.read_text().splitlines()[:2] == ["score", "0.95"]
    assert human_scores(competition, tmp_path / "data") == SCORES
    asked = len(kaggle.log)
    assert fetch_leaderboard(competition, data, patience=QUICK) == []
    assert len(kaggle.log) == asked


def test_best_first_where_lower_is_better(kaggle, make_competition, data):
    facts = (
        'id = "{id}"\ntitle = "T"\ncategory = "tabular"\nversion = {version}\n[source]\nkind = "{kind}"\n'
        "[leaderboard]\nhigher_is_better = false\nteams = 3\ngold = 1\nsilver = 1\nbronze = 1\nmedian = 2\n"
        '[grading]\ngrader = "rmse"\nid = ["id"]\n[grading.columns]\ntarget = {{}}\n'
    )
    kaggle.competitions["toy"].leaderboard = board([3, 1, 2])
    assert fetch_leaderboard(make_competition(facts=facts), data, patience=QUICK) == []
    assert data.leaderboard.read_text() == "score\n1.0\n2.0\n3.0\n"


def test_the_private_leaderboard_is_taken_where_the_packed_one_does_not_fit(kaggle, make_competition, data):
    texts = [str(score) for score in SCORES]
    kaggle.competitions["toy"] = Entry(b"", board(OTHERS), [texts[:60], texts[60:]])
    assert fetch_leaderboard(make_competition(), data, patience=QUICK) == []
    assert len(data.leaderboard.read_text().splitlines()) == 101
    assert len(kaggle.asked("GetLeaderboard")) == 2


def test_scores_that_differ_from_the_published_are_a_warning(kaggle, make_competition, data):
    kaggle.competitions["toy"].leaderboard = board([*SCORES, 0.1])
    (line,) = fetch_leaderboard(make_competition(), data, patience=QUICK)
    assert line == "the leaderboard that Kaggle gives differs from the published one: 101 teams, not 100"
    kaggle.competitions["toy"].leaderboard = board([0.99] * 100)
    data.leaderboard.unlink()
    (line,) = fetch_leaderboard(make_competition(), data, patience=QUICK)
    assert "gold 0.99, not 0.9, silver 0.99, not 0.8" in line


@pytest.mark.parametrize(
    ("leaderboard", "words"),
    [
        (None, "There is no leaderboard"),
        (b"PK nonsense", "cannot be read"),
        (packed({"a.csv": b"Rank,Team\n1,x\n"}), "a column Score is expected, got Rank, Team"),
        (packed({"a.csv": b"Score\nhigh\n"}), "could not convert string to float"),
        (packed({"a.csv": b"Score\nnan\n"}), "a score is expected, got 'nan'"),
        (packed({"a.csv": b"Score\n\n"}), "it holds no scores"),
        (packed({"a.txt": b""}), "the archive holds no CSV"),
        (b"Score\n\xff\n", "cannot be read"),
    ],
)
def test_scores_that_cannot_be_had_never_stop_a_preparation(
    kaggle, make_competition, data, tmp_path, leaderboard, words
):
    kaggle.competitions["toy"].leaderboard = leaderboard
    lines: list[str] = []
    prepare(make_competition(), tmp_path / "data", progress=lines.append)
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert "no human scores, so no ranks" in warning and words in warning and "\n" not in warning
    assert data.prepared.is_dir() and not data.leaderboard.exists()


def test_a_busy_server_is_a_warning(kaggle, make_competition, data):
    kaggle.script("toy", "DownloadLeaderboard", *[Status(429)] * 2)
    (line,) = fetch_leaderboard(make_competition(), data, patience=QUICK)
    assert "answers 429, too many requests" in line


def test_real_forms_of_the_table_are_read():
    assert read_scores(board([0.5, "", 0.25]), higher_is_better=True) == [0.5, 0.25]
    history = b"TeamId,TeamName,SubmissionDate,Score\n1,a,2013-01-01,0.5\n1,a,2013-01-02,0.7\n2,b,2013-01-01,0.6\n"
    assert read_scores(history, higher_is_better=True) == [0.7, 0.6]
    assert read_scores(history, higher_is_better=False) == [0.5, 0.6]
    both = packed({"a-public.csv": b"Score\n1\n", "b-private.csv": b"Score\n2\n"})
    assert read_scores(both, higher_is_better=True) == [2.0]


def test_thresholds_of_all_published_leaderboards_agree_with_their_facts(shared):
    import json

    from mleb_core.competition_spec import LeaderboardFacts
    from mleb_core.kaggle.leaderboard import differences

    boards = json.loads((shared / "facts/leaderboards.json").read_text())
    wrong = {}
    for fact in json.loads((shared / "facts/competitions.json").read_text()):
        numbers = {name: fact[name] for name in ("teams", "gold", "silver", "bronze", "median")}
        facts = LeaderboardFacts(higher_is_better=not fact["is_lower_better"], **numbers)
        if found := differences(boards[fact["id"]], facts):
            wrong[fact["id"]] = found
    assert wrong == {}
