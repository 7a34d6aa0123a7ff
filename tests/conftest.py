"""What tests of every part share."""

import os
import subprocess
from collections.abc import Iterator
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
        if in_ci():
            pytest.fail(message)
        pytest.skip(message)
    return path


def in_ci() -> bool:
    """Whether this is continuous integration, where all that tests need is installed."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def pytest_configure(config: pytest.Config) -> None:
    """The markers that tests of several folders use."""
    config.addinivalue_line("markers", "docker: needs a Docker engine; never skipped in CI")
    config.addinivalue_line("markers", "bwrap: needs bubblewrap; never skipped in CI")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a test of isolation that is skipped, for whatever reason, has failed: nobody else holds what it holds."""
    report = yield
    needed = [name for name in ("docker", "bwrap") if item.get_closest_marker(name)]
    if needed and in_ci() and report.skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{item.nodeid} must not be skipped in CI: {why}"
    return report


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """There is a Docker engine; without one the test is skipped, but never in CI."""
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=60)
        message = "" if asked.returncode == 0 else f"no Docker engine: {asked.stderr.strip() or asked.stdout.strip()}"
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"no Docker engine: {error}"
    if message:
        if in_ci():
            pytest.fail(message)
        pytest.skip(message)
