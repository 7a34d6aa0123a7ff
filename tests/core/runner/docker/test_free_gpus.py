"""What dead harnesses left on GPUs is removed when somebody else has leased these."""

import secrets
import subprocess

import pytest

from mleb_core.runner.docker.labels import GPUS, HOST, host_identity
from mleb_core.runner.docker.runner import DockerRunner
from mleb_core.testing.images import make_test_image

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_engine")]


@pytest.fixture
def container():
    """container(gpus, host) -> the id of a container that runs; gone afterwards."""
    image, made = make_test_image(), []

    def start(gpus: list[str], host: str) -> str:
        labels = ["--label", f"{GPUS}={','.join(gpus)}", "--label", f"{HOST}={host}"]
        started = ["docker", "run", "-d", *labels, "--entrypoint", "/bin/sleep", image, "600"]
        made.append(subprocess.run(started, capture_output=True, text=True, check=True).stdout.strip())
        return made[-1]

    yield start
    for id in made:
        subprocess.run(["docker", "rm", "-f", id], capture_output=True, check=False)


def is_there(id: str) -> bool:
    return subprocess.run(["docker", "inspect", id], capture_output=True, check=False).returncode == 0


def test_only_containers_of_this_host_on_these_gpus_are_removed(container):
    one, two, three = (f"GPU-{secrets.token_hex(8)}" for _ in range(3))
    left, beside = container([one, two], host_identity()), container([three], host_identity())
    elsewhere = container([two], "another host")
    DockerRunner().free_gpus([two])
    assert (is_there(left), is_there(beside), is_there(elsewhere)) == (False, True, True)
    assert three in DockerRunner().gpus_in_use()
