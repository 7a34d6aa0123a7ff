"""A scaffold that needs a privileged container: refused without the user's word, run and marked with it."""

import json
from pathlib import Path

import pytest

import mleb_core
from mleb_core.agent import Image, Launch, LaunchContext
from mleb_core.errors import UsageError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout
from mleb_core.ledger import read_ledger
from mleb_core.plugins import load_plugins
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.run import Limits, RunStatus
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image
from mleb_core.verify import verify_group

pytestmark = pytest.mark.docker

DIABETES = "diabetes-progression"
CODE = """
import json, os, shutil
shutil.copy(os.environ["MLEB_DATA"] + "/sample_submission.csv", os.environ["MLEB_SUBMISSION"] + "/submission.csv")
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
print(json.dumps({"bound": int(status["CapBnd"], 16), "kept": status["NoNewPrivs"], "uid": os.getuid()}))
"""


class Wide:
    """Says what it may do."""

    id = "wide"
    summary = "Says what it may do."

    def __init__(self) -> None:
        self.image = Image(reference=make_test_image(), privileged=True)

    def variants(self) -> tuple[str, ...]:
        return ()

    def launch(self, context: LaunchContext) -> Launch:
        return Launch([context.python, "-c", CODE])

    @mleb_core.hookimpl
    def mleb_register_agents(self) -> "list[Wide]":
        return [self]


def test_a_privileged_container_takes_the_users_word_and_is_marked(docker_engine: None, tmp_path: Path) -> None:
    manager = load_plugins()
    manager.register(Wide(), "wide")
    registry = Registry(manager)
    prepare(registry.competition(DIABETES), tmp_path / "data")

    def request(**terms: bool) -> EvalRequest:
        limits = Limits(time_s=120, memory_bytes=256 << 20)
        return EvalRequest(
            ("wide",), (DIABETES,), tmp_path / "data", tmp_path / "runs",
            runner="docker", limits=limits, terms=Terms(**terms),
        )  # fmt: skip

    with pytest.raises(
        UsageError, match=r"^agent wide needs a privileged container; allow it with --allow-privileged$"
    ):
        evaluate(request(), registry)
    assert not (tmp_path / "runs").exists()

    report = evaluate(request(privileged=True), registry)
    (run,) = report.runs
    directory = Path(report.directory)
    layout = GroupLayout(directory).run(DIABETES, "wide", 0)
    said = json.loads(layout.log.read_text())
    assert (run.status, run.privileged) == (RunStatus.FINISHED, True)
    assert (said["bound"] != 0, said["kept"]) == (True, "0")
    assert said["uid"] != 0  # all the same
    assert json.loads(layout.report.read_text())["privileged"] is True
    assert "Privileged containers: wide (1 run); they isolate little" in (directory / "report.md").read_text()
    assert "privileged" in [entry.kind for entry in read_ledger(layout.ledger)]
    assert verify_group(directory, registry).findings == ()
