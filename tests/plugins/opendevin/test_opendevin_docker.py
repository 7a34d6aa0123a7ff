"""OpenHands in a container: its own environment beside the Python of the image, in which the agent's commands run."""

import hashlib
import subprocess
import tarfile
from pathlib import Path

import pytest

import mleb_core.testing.images
from mleb_core.agent import Image, image_of
from mleb_core.run import Limits, RunStatus
from mleb_core.terms import Terms
from mleb_opendevin.scaffold import IN_IMAGE, OpenHands

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]  # the image and OpenHands' environment are made once

RECIPE = 2
LIBRARIES = (
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "scikit_learn",
    "joblib",
    "threadpoolctl",
    "narwhals",
    "cloudpickle",
)
NOT_COPIED = (*LIBRARIES, "pip")
MAKE_BASE = "import runpy, sys; print(runpy.run_path(sys.argv[1])['make_test_image'](packages=sys.argv[2:]))"


@pytest.fixture(scope="session")
def image(docker_engine, openhands_python, tmp_path_factory) -> str:
    """What `mleb image build opendevin` makes, but for pip and the network: OpenHands and what it imports, from the
    environment on this machine, on an image of the same Python that has the libraries. Made once, as its name holds a
    hash of what is in it.
    """
    assert image_of(OpenHands("opendevin")).python == IN_IMAGE
    # By OpenHands' own Python, as the image is to have that one; pydantic brings system libraries along.
    script = mleb_core.testing.images.__file__
    made = [openhands_python, "-c", MAKE_BASE, script, "pandas", "scikit-learn", "pydantic"]
    base = subprocess.run(made, capture_output=True, text=True, check=True).stdout.strip()
    home = Path(openhands_python).parents[1]
    digest = hashlib.sha256(f"{RECIPE} {base} {home.name}".encode()).hexdigest()[:16]
    name = f"mleb-test-openhands:{digest}"
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0:
        return name
    site = next(home.glob("lib/python3*/site-packages"))
    folder = tmp_path_factory.mktemp("context")
    dockerfile = folder / "Dockerfile"
    own = f"/opt/openhands/lib/{site.parent.name}/site-packages"
    dockerfile.write_text(
        f"FROM {base}\nRUN python3 -m venv --without-pip /opt/openhands\nCOPY site {own}\n"
        f"RUN python3 -m compileall -q -j 2 {own} /usr/local/lib/{site.parent.name}\n"
    )
    with tarfile.open(folder / "context.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(dockerfile, "Dockerfile")
        for path in site.iterdir():
            if not path.name.removesuffix(".libs").startswith(NOT_COPIED):
                tar.add(path, f"site/{path.name}", filter=lambda entry: None if "__pycache__" in entry.name else entry)
    with (folder / "context.tar").open("rb") as context:
        command = ["docker", "build", "--quiet", "--force-rm", "--tag", name, "-"]
        built = subprocess.run(command, stdin=context, capture_output=True, text=True)
    (folder / "context.tar").unlink()
    assert built.returncode == 0, built.stderr
    return name


def test_it_solves_a_sample_in_a_container(run_openhands, scripts, image, ridge_grade, monkeypatch):
    monkeypatch.setattr(OpenHands, "image", Image(reference=image, python=IN_IMAGE))
    look = "command -v python3; env; sh /home/validate_submission.sh /home/submission/submission.csv"
    *solve, finish = scripts.solution()
    run, layout, _ = run_openhands(
        scripts.model_of([*solve, scripts.run_command(look), finish]),
        agents=("openhands",),
        runner="docker",
        terms=Terms(),
        limits=Limits(time_s=240, grace_s=2, memory_bytes=2 * 1024**3),
    )
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, log
    assert log.splitlines()[-1] == "openhands: finished after 4 steps; submission.csv is handed in", log
    report = run.competition_report
    assert (report.score, report.medal) == (pytest.approx(ridge_grade.score, abs=1e-3), "gold")
    assert "/usr/local/bin/python3" in log and "Submission is valid." in log
    assert "OPENAI_" not in log.split("env;")[1]
    assert (layout.code / "solve.py").is_file() and (layout.logs / "trajectory.jsonl").is_file()
