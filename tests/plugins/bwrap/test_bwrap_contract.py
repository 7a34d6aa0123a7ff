"""The bubblewrap runner keeps what every runner must."""

import pytest

from mleb_core.runner.protocol import Runner
from mleb_core.testing import RunnerContract

pytestmark = pytest.mark.bwrap


@pytest.mark.usefixtures("bubblewrap")
class TestBwrapRunner(RunnerContract):
    id = "bwrap"

    def test_it_claims_to_isolate(self, runner: Runner) -> None:
        claimed = runner.isolation
        assert (claimed.files, claimed.network, claimed.processes) == (True, True, True)
