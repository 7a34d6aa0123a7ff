"""The docker runner keeps what every runner must, and claims all isolation."""

import pytest

from mleb_core.agent import Image
from mleb_core.runner.protocol import Isolation, Runner
from mleb_core.testing import RunnerContract

pytestmark = pytest.mark.docker


class TestDockerRunner(RunnerContract):
    id = "docker"

    @pytest.fixture(scope="class")
    @classmethod
    def image(cls, test_image: Image) -> Image:
        return test_image

    def test_it_claims_everything(self, runner: Runner) -> None:
        assert runner.isolation == Isolation(files=True, network=True, memory=True, processes=True)
