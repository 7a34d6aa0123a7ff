"""What every engine must keep."""

import time
from pathlib import Path

import pytest

from mleb_core.engine.protocol import Engine
from mleb_core.errors import RunGroupError
from mleb_core.registry import Registry
from mleb_core.run import Run, RunKey, RunStatus, now
from mleb_core.runner.protocol import Stop

__all__ = ["EngineContract"]


class _Recorder:
    """Writes a file when a run starts and another when it ends; shared by processes that see the directory."""

    def __init__(self, root: Path, *, seconds: float = 0.02, fails: int | None = None) -> None:
        self.root, self.seconds, self.fails = root, seconds, fails

    def __call__(self, key: RunKey, stop: Stop) -> Run:
        (self.root / f"{key.seed}.started").write_text(repr(time.time()))
        time.sleep(self.seconds)
        if key.seed == self.fails:
            raise RunGroupError("the disk is full")
        (self.root / f"{key.seed}.ended").write_text(repr(time.time()))
        return Run(key=key, group="contract", status=RunStatus.FINISHED, created_at=now())

    def spans(self) -> list[tuple[float, float]]:
        """Start and end of each run that ended."""
        ends = sorted(self.root.glob("*.ended"))
        return [(float(end.with_suffix(".started").read_text()), float(end.read_text())) for end in ends]


def _keys(count: int) -> list[RunKey]:
    return [RunKey(competition="tiny", agent="agent", seed=seed) for seed in range(count)]


class EngineContract:
    """Subclass it and set `id`."""

    id: str
    """The engine's id."""

    @pytest.fixture(scope="class")
    @classmethod
    def engine(cls) -> Engine:
        """The engine, found as a user's mleb finds it."""
        return Registry().engine(cls.id)

    @pytest.mark.parametrize("workers", [1, 4])
    def test_every_run_is_executed_once_and_yielded(self, engine: Engine, tmp_path: Path, workers: int) -> None:
        """Each result comes, each run started once, never more than `workers` at a time."""
        recorder, keys = _Recorder(tmp_path), _keys(12)
        runs = list(engine.spread(keys, recorder, workers=workers, stop=Stop()))
        assert sorted(run.key.seed for run in runs) == [key.seed for key in keys]
        spans = recorder.spans()
        assert len(spans) == len(keys)
        assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) <= workers

    def test_results_come_as_runs_end(self, engine: Engine, tmp_path: Path) -> None:
        """The first result is there before the last run has started."""
        results = engine.spread(_keys(6), _Recorder(tmp_path), workers=1, stop=Stop())
        next(results)
        assert not (tmp_path / "5.started").exists()
        assert len(list(results)) == 5

    def test_no_runs_is_no_fault(self, engine: Engine, tmp_path: Path) -> None:
        """Nothing to do ends at once."""
        assert list(engine.spread([], _Recorder(tmp_path), workers=2, stop=Stop())) == []

    def test_after_stop_no_run_starts_and_those_under_way_are_waited_for(self, engine: Engine, tmp_path: Path) -> None:
        """What has started ends; the rest is left."""
        stop = Stop()
        results = engine.spread(_keys(50), _Recorder(tmp_path), workers=2, stop=stop)
        next(results)
        stop.set()
        rest = list(results)
        assert len(list(tmp_path.glob("*.started"))) == len(list(tmp_path.glob("*.ended"))) == len(rest) + 1
        assert len(rest) < 10

    def test_a_group_that_cannot_be_written_ends_the_engine(self, engine: Engine, tmp_path: Path) -> None:
        """RunGroupError comes through, and no further run starts."""
        stop = Stop()
        with pytest.raises(RunGroupError, match="the disk is full"):
            list(engine.spread(_keys(50), _Recorder(tmp_path, fails=3), workers=2, stop=stop))
        assert stop.is_set()
        assert len(list(tmp_path.glob("*.started"))) < 10
