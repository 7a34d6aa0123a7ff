"""The engine, an image, jobs of hostile agents; what a test makes it removes."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mleb_core import RunnerError
from mleb_core.agent import Image
from mleb_core.layout import CompetitionData, RunLayout
from mleb_core.run import Limits
from mleb_core.runner.docker import labels
from mleb_core.runner.docker.client import connect
from mleb_core.runner.docker.runner import DockerRunner
from mleb_core.testing.images import make_test_image
from mleb_core.testing.runner import Script
from mleb_core.testing.tinies import tiny_job, tiny_prepared

MakeJob = Callable[..., Any]


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Any]:
    """A connection to the engine; none: the tests are skipped, but fail where CI is set."""
    try:
        client = connect()
    except RunnerError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs a Docker engine: {error}")
        pytest.skip(str(error))
    yield client
    client.close()


@pytest.fixture(scope="session")
def test_image(docker_engine: Any) -> Image:
    return Image(reference=make_test_image())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> CompetitionData:
    return tiny_prepared(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def runs(tmp_path: Path, docker_engine: Any) -> Iterator[Path]:
    """A directory for runs; no container of any of them may be left in the end."""
    root = tmp_path / f"group-{secrets.token_hex(4)}"
    root.mkdir()
    yield root
    left = []
    for found in docker_engine.api.containers(all=True, filters={"label": labels.GROUP}):
        if Path(found["Labels"][labels.GROUP]).is_relative_to(root):
            left.append(found)
            docker_engine.api.remove_container(found["Id"], force=True, v=True)
    assert not left, "containers were left"


@pytest.fixture
def make_job(runs: Path, tiny: CompetitionData, test_image: Image) -> MakeJob:
    """A job whose agent is Python code, in a directory of its own."""

    def make(code: str, *, name: str = "0", job: dict[str, Any] | None = None, **limits: Any) -> Any:
        wanted = Limits(**{"time_s": 60.0, "grace_s": 1.0, **limits})
        return tiny_job(runs / "tiny" / "script" / name, tiny, Script(code, test_image), limits=wanted, **(job or {}))

    return make


@pytest.fixture(scope="session")
def runner() -> DockerRunner:
    return DockerRunner()


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path has room for a unix socket."""
    path = Path(tempfile.mkdtemp(prefix="mleb-t-"))
    yield path
    shutil.rmtree(path)


def containers(client: Any, layout: RunLayout) -> list[dict[str, Any]]:
    wanted = f"{labels.RUN}={labels.run_label(layout.root)}"
    found: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": wanted})
    return found


@pytest.fixture
def containers_of(docker_engine: Any) -> Callable[[RunLayout], list[dict[str, Any]]]:
    return lambda layout: containers(docker_engine, layout)
