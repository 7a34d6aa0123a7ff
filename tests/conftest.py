"""What tests of every part share."""

import os
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and golden cases: $MLEB_SHARED, else `shared` beside the repository.

    Its tests are skipped where it is absent, but never in CI.
    """
    given = os.environ.get("MLEB_SHARED")
    path = Path(given) if given else Path(__file__).parents[2] / "shared"
    if not (path / "facts").is_dir():
        message = f"facts of real competitions are not at {path}; set MLEB_SHARED"
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def pytest_configure(config: pytest.Config) -> None:
    """The markers that tests of several folders use."""
    config.addinivalue_line("markers", "docker: needs a Docker engine")


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """There is a Docker engine; without one the test is skipped, but never in CI."""
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=60)
        message = "" if asked.returncode == 0 else f"no Docker engine: {asked.stderr.strip() or asked.stdout.strip()}"
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"no Docker engine: {error}"
    if message:
        if os.environ.get("CI", "").lower() in ("1", "true"):
            pytest.fail(message)
        pytest.skip(message)
