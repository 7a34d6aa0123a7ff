"""`mleb eval --runner docker` whole: a hostile place around the agent, the gateway and the checker within its reach."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mleb_core.evaluate import EvalRequest, evaluate, resume
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.ledger import Kind, read_ledger
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.models import GroupReport
from mleb_core.run import Limits, RunStatus
from mleb_core.terms import Terms
from mleb_core.testing.images import make_test_image
from mleb_core.testing.model_server import ModelServer, Reply
from mleb_core.verify import verify_group

pytestmark = pytest.mark.docker

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-0123456789"
COPY = (
    "```bash\ncp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv; sh /home/validate_submission.sh\n```"
)
HAND_IN = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"; '


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="module")
def data_dir(registry, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(registry.competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def request_for(docker_engine, data_dir, tmp_path):
    def make(agent: str, **fields: object) -> EvalRequest:
        limits = Limits(time_s=120, grace_s=1, memory_bytes=512 * 1024**2)
        terms = fields.pop("terms", Terms())
        terms = terms.model_copy(update={"image": make_test_image()})
        given = {"limits": limits, "output": tmp_path / "runs", "runner": "docker", "terms": terms, **fields}
        return EvalRequest(agents=(agent,), competitions=(DIABETES,), data_dir=data_dir, **given)  # type: ignore[arg-type]

    return make


def only_run(report: GroupReport) -> RunLayout:
    (key,) = [run.key for run in report.runs]
    return GroupLayout(Path(report.directory)).run(key.competition, key.agent, key.seed)


def test_an_agent_in_a_container_reaches_its_model_and_the_checker(registry, request_for, monkeypatch):
    def script(asked):
        return Reply(COPY if len(asked.body["messages"]) == 2 else "DONE", input_tokens=100, output_tokens=10)

    with ModelServer(script, key=KEY) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", KEY)
        report = evaluate(request_for("react", model="lab/small"), registry)
    (run,) = report.runs
    layout = only_run(report)
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, log
    assert run.competition_report.valid_submission
    assert "There is no internet." in json.dumps(layout.transcript.read_text())
    kinds = [entry.kind for entry in read_ledger(layout.ledger)]
    assert [kinds.count(kind) for kind in (Kind.IMAGE, Kind.GATEWAY, Kind.CHECK)] == [1, 2, 1]
    assert run.resources is not None
    assert verify_group(Path(report.directory), registry).findings == ()
    for path in Path(report.directory).rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_only_allowed_hosts_are_reached_and_the_report_says_so(registry, request_for):
    ask = HAND_IN + (
        "python3 -c 'import os, urllib.request as u\n"
        'for url in ("http://127.0.0.1:{port}/", "http://127.0.0.2:{port}/"):\n'
        "    try: print(url, u.urlopen(url, timeout=20).status)\n"
        "    except Exception as error: print(url, error)'"
    )
    with ModelServer([]) as site:
        port = site.url.rpartition(":")[2]
        terms = Terms(network=(f"127.0.0.1:{port}",))
        # The proxy stands on the host; NO_PROXY would keep an address of the loopback interface from it.
        command = "unset no_proxy NO_PROXY; " + ask.replace("{port}", port)
        report = evaluate(request_for("command", settings={"command": command}, terms=terms), registry)
    layout = only_run(report)
    log = layout.log.read_text()
    assert f"http://127.0.0.1:{port}/ HTTP Error 404" in log  # the host answered
    assert f"http://127.0.0.2:{port}/ HTTP Error 403" in log  # the proxy did
    noted = [entry.details for entry in read_ledger(layout.ledger) if entry.kind == "network"]
    assert [(one["host"], one["allowed"]) for one in noted] == [("127.0.0.1", True), ("127.0.0.2", False)]


@pytest.mark.parametrize("obfuscated", [True, False])
def test_an_obfuscated_run_learns_from_nothing_which_competition_it_is(registry, request_for, obfuscated):
    """Not from its mounts' paths on the host either; where nothing is to be hidden, those of the data tell."""
    command = HAND_IN + (
        "cat /proc/self/mountinfo /proc/self/mounts /proc/self/mountstats /proc/self/cgroup; env; hostname; "
        "cat /etc/hosts /etc/hostname /proc/1/cmdline /proc/net/unix /home/instructions.txt; ls -laR /home /mleb; "
        'wc -l "$MLEB_DATA/train.csv"; head -n 3 "$MLEB_DATA/description.md"'
    )
    terms = Terms(obfuscated=obfuscated)
    report = evaluate(request_for("command", settings={"command": command}, terms=terms), registry)
    (run,) = report.runs
    layout = only_run(report)
    log = layout.log.read_text()
    assert run.status is RunStatus.FINISHED, log
    assert run.competition_report.valid_submission
    assert "/home/data/description.md" in log and "train.csv" in log
    assert (DIABETES in log) is not obfuscated
    for line in log.splitlines():  # what it writes has no name in either case
        assert DIABETES not in line or " /home/data " in line or "COMPETITION_ID" in line
    assert not list(Path(report.directory).glob(".[!.]*"))
    assert verify_group(Path(report.directory), registry).findings == ()


def test_a_killed_harness_is_followed_by_one_that_takes_the_agent_up(registry, request_for, tmp_path):
    command = (
        HAND_IN + 'for i in $(seq 40); do echo "line $i"; sleep 0.25; done; sh /home/validate_submission.sh; echo over'
    )
    request = request_for("command", settings={"command": command})
    harness = subprocess.Popen(
        [
            *(sys.executable, "-m", "mleb", "eval", "--plugin", "command", "--set", f"command={command}"),
            *("-c", DIABETES, "--runner", "docker", "--image", request.terms.image, "--memory-limit", "512MiB"),
            *("--data-dir", request.data_dir, "--output", request.output, "--time-limit", "120"),
        ],
        stdout=subprocess.DEVNULL,
    )
    log: Path | None = None
    while log is None or "line 5" not in log.read_text():
        assert harness.poll() is None
        time.sleep(0.1)
        log = next(request.output.glob("*/*/*/*/agent.log"), None)
    harness.kill()
    harness.wait()
    (group,) = request.output.iterdir()
    report = resume(group, registry)
    (run,) = report.runs
    assert (run.status, run.attempt) == (RunStatus.FINISHED, 1)
    lines = [line for line in log.read_text().splitlines() if line]
    assert lines == [*(f"line {i}" for i in range(1, 41)), "Submission is valid.", "over"]
    kinds = [entry.kind for entry in read_ledger(only_run(report).ledger)]
    assert [kinds.count(kind) for kind in (Kind.START, Kind.TAKEN_UP, Kind.CHECK)] == [1, 1, 1]
    assert verify_group(group, registry).findings == ()
