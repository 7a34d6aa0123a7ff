"""Trees of data lie ready for a group's first runs, one competition ahead of what is at work."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mleb_core.layout import CompetitionData, GroupLayout
from mleb_core.run import Run, RunKey, RunStatus
from mleb_core.runner import public_data
from mleb_core.runner.stock import Stock, stocked


@pytest.fixture
def stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Stock, GroupLayout]]:
    monkeypatch.setattr(public_data, "COPIED_FILES", 0)
    for name in "abc":
        public = CompetitionData.of(tmp_path / "data", name).public
        public.mkdir(parents=True)
        (public / "train.csv").write_text(name)
    (tmp_path / "group").mkdir()
    layout = GroupLayout(tmp_path / "group")

    def make(names: str, workers: int = 2) -> tuple[Stock, GroupLayout]:
        keys = [RunKey(competition=name, agent="x", seed=seed) for name in names for seed in range(3)]
        return Stock(keys, tmp_path / "data", layout, workers, neutral=False), layout

    return make


def begin(stock: Stock, name: str) -> None:
    key = RunKey(competition=name, agent="x", seed=0)
    stock.changed(Run(key=key, group="g", status=RunStatus.RUNNING, attempt=1, created_at="2026-01-01T00:00:00Z"))


def laid(layout: GroupLayout) -> dict[str, int]:
    return {path.name: len(list(path.iterdir())) for path in sorted(layout.spares.glob("runs/[!.]*"))}


def wait_for(layout: GroupLayout, expected: dict[str, int]) -> None:
    while laid(layout) != expected:  # pytest's own limit ends a wait in vain
        time.sleep(0.01)


def test_the_first_lie_ready_and_the_others_follow_the_runs(stock) -> None:
    made, layout = stock("abc")
    with stocked(made):
        assert laid(layout) == {"a": 2}
        begin(made, "a")
        wait_for(layout, {"a": 2, "b": 2})
        begin(made, "b")
        wait_for(layout, {"a": 2, "b": 2, "c": 2})
    assert (next(layout.spare("b").iterdir()) / "train.csv").read_text() == "b"


def test_no_more_than_there_are_runs_and_nothing_after_the_end(stock) -> None:
    made, layout = stock("ab", workers=9)
    with stocked(made):
        assert laid(layout) == {"a": 3}
    assert laid(layout) == {"a": 3}
    assert not made._thread.is_alive()


def test_data_that_is_not_there_is_left_to_the_run(stock) -> None:
    made, layout = stock("xa")
    with stocked(made):
        assert laid(layout) == {}
        begin(made, "x")
        wait_for(layout, {"a": 2})


def test_nothing_to_run_and_no_stock_at_all(stock) -> None:
    made, layout = stock("")
    with stocked(made), stocked(None):
        assert laid(layout) == {}
