"""What tests of every part share."""

import os
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
