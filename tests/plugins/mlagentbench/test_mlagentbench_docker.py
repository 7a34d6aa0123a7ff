"""The agent in a container: its package in the image, the image's Python and libraries, no network but the gateway."""

import json

import pytest

from mleb_core.run import Limits, RunStatus
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image

pytestmark = pytest.mark.docker


def test_it_solves_a_sample_in_a_container(docker_engine, run_whole, scripts):
    step = scripts.step
    check = 'echo "id,progression" > bad.csv; sh /home/validate_submission.sh bad.csv; '
    check += "sh /home/validate_submission.sh submission/submission.csv; id -u; touch data/x || echo read-only"
    model = scripts.model_of(
        [
            step("Write File", file="ridge.py", content=scripts.PROGRAM),
            step("Execute Script", script="ridge.py"),
            step("Write File", file="check.sh", content=check),
            step("Execute Script", script="check.sh"),
        ]
    )
    base = make_test_image(packages=("pandas", "pydantic", "scikit-learn"))
    run, layout, asked = run_whole(
        model, runner="docker", terms=Terms(image=base), limits=Limits(time_s=240, grace_s=2, memory_bytes=1024**3)
    )
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, f"{run.message}\n{log}"
    assert log.splitlines()[-1] == "mlagentbench: it gave its final answer after 5 steps; submission.csv is handed in"
    assert run.competition_report.any_medal
    steps = [json.loads(line) for line in (layout.logs / "steps.jsonl").read_text().splitlines()]
    seen = steps[3]["observation"]
    assert "Submission is not valid" in seen and "Submission is valid." in seen and "read-only" in seen, seen
    assert (run.usage.steps, run.usage.model_calls) == (5, 6)
    assert sorted(path.name for path in layout.code.iterdir()) == ["check.sh", "ridge.py"]
    prompt = scripts.prompt_of(asked[0])
    assert "/home/data" not in prompt and "/home/submission" not in prompt
    assert "sh /home/validate_submission.sh FILE" in prompt and "There is no internet." in prompt
