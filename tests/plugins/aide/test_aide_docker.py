"""AIDE in a container: aideml beside the libraries of the image, which are newer than those that it asks for."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from mleb_aide.scaffold import Aide
from mleb_core.agent import Image
from mleb_core.environments import python_for
from mleb_core.run import Limits, RunStatus
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image

pytestmark = pytest.mark.docker

LIBRARIES = ("numpy", "pandas", "scipy", "sklearn", "scikit_learn", "joblib", "dateutil", "python_dateutil", "pytz")
NOT_COPIED = (*LIBRARIES, "pip", "setuptools", "pkg_resources", "threadpoolctl", "tzdata", "six", "_distutils_hack")


@pytest.fixture(scope="module")
def image(docker_engine, tmp_path_factory) -> str:
    """What `mleb image build aide` makes, but for pip and the network: aideml and what it imports, from the environment
    on this machine, on an image that has the libraries.
    """
    base = make_test_image(packages=("pandas", "pydantic", "scikit-learn"))  # pydantic brings system libraries along
    site = next(Path(python_for(Aide(), {})).parents[1].glob("lib/python3*/site-packages"))
    folder = tmp_path_factory.mktemp("context")
    names = [path for path in site.iterdir() if not path.name.removesuffix(".libs").startswith(NOT_COPIED)]
    with tarfile.open(folder / "context.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for path in names:
            tar.add(path, f"site/{path.name}", filter=lambda entry: None if "__pycache__" in entry.name else entry)
        version = site.parent.name
        dockerfile = folder / "Dockerfile"
        dockerfile.write_text(
            f"FROM {base}\nCOPY site /opt/aide/site\n"
            f"RUN echo /opt/aide/site > /usr/local/lib/{version}/site-packages/aide.pth\n"
        )
        tar.add(dockerfile, "Dockerfile")
    with (folder / "context.tar").open("rb") as context:
        command = ["docker", "build", "--quiet", "--tag", "mleb-test-aide", "-"]
        built = subprocess.run(command, stdin=context, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return built.stdout.strip()


def test_aide_solves_a_sample_in_a_container(run_aide, scripts, image, monkeypatch):
    monkeypatch.setattr(Aide, "image", Image(reference=image))
    run, layout, asked = run_aide(
        scripts.model_of([scripts.RIDGE, scripts.MEAN]),
        settings={"steps": 2},
        runner="docker",
        terms=Terms(),
        limits=Limits(time_s=240, grace_s=2, memory_bytes=1024**3),
    )
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, log
    assert log.splitlines()[-1].startswith("aide: 2 steps done; handed in the submission of step 1 (metric "), log
    assert run.competition_report.valid_submission
    nodes = json.loads((layout.logs / "0-aide" / "journal.json").read_text())["nodes"]
    assert [node["is_buggy"] for node in nodes] == [False, False]
    assert "/home/submission" not in asked[0].body["messages"][0]["content"]
    assert run.resources is not None
