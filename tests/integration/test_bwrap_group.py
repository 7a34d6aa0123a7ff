"""`mleb eval --runner bwrap` whole: the gateway, the checker and allowed hosts within the reach of an agent shut in."""

import json
from pathlib import Path

import pytest

from mleb_core.errors import RunnerError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.ledger import Kind, read_ledger
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.models import GroupReport
from mleb_core.run import Limits, RunStatus
from mleb_core.terms import Terms
from mleb_core.testing.model_server import ModelServer, Reply
from mleb_core.verify import verify_group

pytestmark = pytest.mark.bwrap

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-0123456789"
COPY = (
    "```bash\ncp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv; sh /home/validate_submission.sh\n```"
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry()
    try:
        registry.runner("bwrap").check(Limits())
    except RunnerError as error:
        pytest.skip(str(error))
    return registry


@pytest.fixture
def request_for(registry: Registry, tmp_path: Path):
    prepare(registry.competition(DIABETES), tmp_path / "data")

    def make(agent: str, **fields: object) -> EvalRequest:
        given = {"limits": Limits(time_s=120, grace_s=1, memory_bytes=512 << 20), "runner": "bwrap", **fields}
        return EvalRequest((agent,), (DIABETES,), tmp_path / "data", tmp_path / "runs", **given)  # type: ignore[arg-type]

    return make


def only_run(report: GroupReport) -> RunLayout:
    (key,) = [run.key for run in report.runs]
    return GroupLayout(Path(report.directory)).run(key.competition, key.agent, key.seed)


def test_an_agent_in_a_sandbox_reaches_its_model_and_the_checker(registry, request_for, monkeypatch):
    def script(asked):
        return Reply(COPY if len(asked.body["messages"]) == 2 else "DONE", input_tokens=100, output_tokens=10)

    with ModelServer(script, key=KEY) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", KEY)
        report = evaluate(request_for("react", model="lab/small", terms=Terms(obfuscated=True)), registry)
    (run,) = report.runs
    layout = only_run(report)
    assert run.status is RunStatus.FINISHED, layout.log.read_text()
    assert run.competition_report.valid_submission
    assert "There is no internet." in json.dumps(layout.transcript.read_text())
    kinds = [entry.kind for entry in read_ledger(layout.ledger)]
    assert [kinds.count(kind) for kind in (Kind.GATEWAY, Kind.CHECK)] == [2, 1]
    assert run.resources is not None
    assert verify_group(Path(report.directory), registry).findings == ()
    for path in Path(report.directory).rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()


def test_only_allowed_hosts_are_reached(registry, request_for):
    with ModelServer([]) as site:
        port = site.url.rpartition(":")[2]
        command = (
            'unset no_proxy NO_PROXY; cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"; '
            "python3 -c 'import urllib.request as u\n"
            f'for url in ("http://127.0.0.1:{port}/", "http://127.0.0.2:{port}/"):\n'
            "    try: print(url, u.urlopen(url, timeout=20).status)\n"
            "    except Exception as error: print(url, error)'"
        )
        terms = Terms(network=(f"127.0.0.1:{port}",))
        report = evaluate(request_for("command", settings={"command": command}, terms=terms), registry)
    log = only_run(report).log.read_text()
    assert f"http://127.0.0.1:{port}/ HTTP Error 404" in log  # the host answered
    assert f"http://127.0.0.2:{port}/ HTTP Error 403" in log  # the proxy did
    assert f"Network: agents could reach 127.0.0.1:{port}" in (Path(report.directory) / "report.md").read_text()


def test_images_are_refused_in_a_line(registry, request_for):
    with pytest.raises(RunnerError, match="the bwrap runner runs no images"):
        evaluate(request_for("command", settings={"command": "true"}, terms=Terms(image="debian")), registry)
