"""Runs of the bubblewrap runner; where no sandbox can be made its tests are skipped, but never in CI."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mleb_bwrap.runner import BwrapRunner
from mleb_core.errors import RunnerError
from mleb_core.layout import CompetitionData
from mleb_core.run import Limits
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job, tiny_prepared


@pytest.fixture(scope="session")
def bubblewrap() -> None:
    """Sandboxes can be made here."""
    try:
        BwrapRunner().check(Limits())
    except RunnerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def runner(bubblewrap: None) -> BwrapRunner:
    return BwrapRunner()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> CompetitionData:
    return tiny_prepared(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def make_job(tmp_path: Path, tiny: CompetitionData) -> Iterator[Callable[..., Any]]:
    """A job whose agent is Python code, in a directory of its own."""

    def make(code: str, *, name: str = "0", job: dict[str, Any] | None = None, **limits: Any) -> Any:
        wanted = Limits(**{"time_s": 60.0, "grace_s": 1.0, **limits})
        return tiny_job(tmp_path / "group" / "tiny" / "script" / name, tiny, Script(code), limits=wanted, **(job or {}))

    yield make
    assert not (tmp_path / "group" / ".places").exists()
