"""The samples' leaderboards: reference models, shipped, in agreement with the thresholds, made by the script."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from mleb_core.competition import Competition
from mleb_core.leaderboard import thresholds_from_scores
from mleb_samples.hooks import mleb_register_competitions
from mleb_samples.reference.tasks import TASKS

SAMPLES = {competition.id: competition for competition in mleb_register_competitions()}


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Competition:
    return SAMPLES[request.param]


def board_of(sample: Competition) -> pd.DataFrame:
    assert sample.spec.leaderboard.scores == "leaderboard.csv"
    return pd.read_csv(sample.folder / "leaderboard.csv")


def test_every_sample_has_reference_models() -> None:
    assert set(TASKS) == set(SAMPLES)


def test_thresholds_agree_with_the_shipped_board(sample: Competition) -> None:
    facts, scores = sample.spec.leaderboard, board_of(sample)["score"].tolist()
    assert facts.thresholds == thresholds_from_scores(scores, higher_is_better=facts.higher_is_better)
    assert facts.teams == len(scores)
    assert facts.top == scores[0]
    assert scores == sorted(scores, reverse=facts.higher_is_better)


def test_boards_are_large_small_files_and_medals_mean_something(sample: Competition) -> None:
    board, at = board_of(sample), sample.spec.leaderboard.thresholds
    assert 100 <= len(board) < 250
    assert board["model"].is_unique
    assert (sample.folder / "leaderboard.csv").stat().st_size < 10_000
    assert len({at.gold, at.silver, at.bronze, at.median}) == 4
    assert sum(at.medal(score) == "gold" for score in board["score"]) <= 12
    assert board["score"].value_counts().max() <= len(board) // 10


def test_the_script_makes_the_shipped_board(tmp_path: Path) -> None:
    """Another machine or another version may move some scores a little, no more."""
    sample = SAMPLES["diabetes-progression"]
    command = [sys.executable, "-m", "mleb_samples.reference", sample.id, "--output", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    made = pd.read_csv(tmp_path / sample.id / "leaderboard.csv").set_index("model")["score"]
    shipped = board_of(sample).set_index("model")["score"]
    assert set(made.index) == set(shipped.index)
    off = ((made - shipped.reindex(made.index)) / shipped.reindex(made.index)).abs()
    assert (off < 0.001).mean() > 0.9


def test_the_script_refuses_what_it_does_not_know() -> None:
    command = [sys.executable, "-m", "mleb_samples.reference", "diabetes-progresion"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("no competition 'diabetes-progresion': did you mean diabetes-progression")
    assert len(done.stderr.splitlines()) == 1
