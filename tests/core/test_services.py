"""What the harness offers to agents, seen through whole runs: a real agent, a real gateway, a scripted provider."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mleb_core.errors import RunnerError, UsageError
from mleb_core.evaluate import EvalRequest, evaluate, plan
from mleb_core.layout import GroupLayout, RunLayout
from mleb_core.ledger import Kind, read_ledger
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.models import GroupReport
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.terms import Budget, Terms
from mleb_core.testing.model_server import ModelServer, Reply
from mleb_core.verify import verify_group

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-0123456789"
COPY = "```bash\ncp $MLEB_DATA/sample_submission.csv $MLEB_SUBMISSION/submission.csv; env | grep -c OPENAI; true\n```"
HAND_IN = 'cp "$MLEB_DATA/sample_submission.csv" "$MLEB_SUBMISSION/submission.csv"; '
ASK_FOR_EVER = HAND_IN + (
    "while :; do python3 -c 'import os, urllib.request as u; "
    'u.urlopen(u.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", '
    'b"{\\"model\\": \\"mleb-model\\", \\"messages\\": [{\\"role\\": \\"user\\", \\"content\\": \\"hi\\"}]}", '
    '{"authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}))\' || sleep 0.1; done'
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


@pytest.fixture(scope="module")
def data_dir(registry, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(registry.competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def request_for(data_dir, tmp_path):
    def make(agent: str, **fields: object) -> EvalRequest:
        given = {"limits": Limits(time_s=90, grace_s=1), "output": tmp_path / "runs", **fields}
        return EvalRequest(agents=(agent,), competitions=(DIABETES,), data_dir=data_dir, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def model(monkeypatch):
    """A provider `lab` that gives these replies, then DONE for ever."""

    def script(asked):
        return Reply(COPY if len(asked.body["messages"]) == 2 else "DONE", input_tokens=100, output_tokens=10)

    with ModelServer(script, key=KEY) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", KEY)
        yield server


def only_run(report: GroupReport) -> RunLayout:
    (key,) = [run.key for run in report.runs]
    return GroupLayout(Path(report.directory)).run(key.competition, key.agent, key.seed)


def test_an_agent_asks_its_model_and_everything_is_written_down(registry, request_for, model):
    report = evaluate(request_for("react", model="lab/small"), registry)
    (run,) = report.runs
    layout = only_run(report)
    assert (run.status, run.cause) == (RunStatus.FINISHED, None), layout.log.read_text()
    assert run.competition_report.valid_submission
    usage = json.loads(layout.usage.read_text())
    assert (usage["requests"], usage["tokens"]["input"], usage["tokens"]["output"]) == (2, 200, 20)
    assert usage["cost_usd"] is None
    first, second = (json.loads(line) for line in layout.transcript.read_text().splitlines())
    assert "There is no" not in json.dumps(first)  # nothing is said of a network that the runner leaves open
    assert "0\\n\\n[exit code 0]" in json.dumps(second["request"])  # the agent's commands have no way to the model
    entries = read_ledger(layout.ledger)
    assert [entry.kind for entry in entries if entry.kind == Kind.GATEWAY] == [Kind.GATEWAY] * 2
    assert [entry.kind for entry in entries][-3:] == [Kind.END, Kind.GRADED, Kind.REPORT]
    assert verify_group(Path(report.directory), registry).findings == ()
    for path in Path(report.directory).rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()
    assert not layout.channel.exists() and not layout.channel_state.exists()


def test_a_budget_ends_a_run_that_is_graded(registry, request_for, model):
    terms = Terms(budget=Budget(requests=1))
    report = evaluate(request_for("react", model="lab/small", terms=terms), registry)
    (run,) = report.runs
    assert (run.status, run.cause) == (RunStatus.FINISHED, Cause.BUDGET_REACHED)
    assert run.competition_report.valid_submission
    assert Kind.BUDGET in [entry.kind for entry in read_ledger(only_run(report).ledger)]
    assert len(model.asked) == 1


def test_an_agent_that_goes_on_after_its_budget_is_ended(registry, request_for, model):
    terms = Terms(group_budget=Budget(tokens=300), budget_grace_s=1)
    request = request_for("command", model="lab/small", terms=terms, settings={"command": ASK_FOR_EVER})
    (run,) = evaluate(request, registry).runs
    assert (run.status, run.cause) == (RunStatus.TIMED_OUT, Cause.BUDGET_REACHED)
    assert "the agent went on and was ended" in run.message
    assert run.competition_report.valid_submission


def test_a_recorded_run_is_repeated_without_its_provider(registry, request_for, model, tmp_path, monkeypatch):
    record = Terms(record=str(tmp_path / "recorded"))
    first = evaluate(request_for("react", model="lab/small", terms=record), registry)
    asked = len(model.asked)
    monkeypatch.delenv("MLEB_PROVIDER_LAB_API_KEY")
    replay = Terms(replay=str(tmp_path / "recorded"))
    second = evaluate(request_for("react", model="lab/small", terms=replay), registry)
    assert len(model.asked) == asked
    replies = [
        [json.loads(line)["reply"] for line in only_run(report).transcript.read_text().splitlines()]
        for report in (first, second)
    ]
    assert replies[0] == replies[1]


def test_the_checker_answers_an_agent_without_a_model(registry, request_for):
    command = HAND_IN + (
        'sh "$HOME/validate_submission.sh" >"$MLEB_LOGS/good.txt"; echo nonsense >bad.csv; '
        'sh "$HOME/validate_submission.sh" bad.csv >"$MLEB_LOGS/bad.txt"; env >"$MLEB_LOGS/env.txt"; '
        'cat "$MLEB_INSTRUCTIONS"'
    )
    report = evaluate(request_for("command", settings={"command": command}), registry)
    layout = only_run(report)
    log = layout.log.read_text()
    assert "valid" in (layout.logs / "good.txt").read_text().lower(), log
    bad = (layout.logs / "bad.txt").read_text()
    assert bad and bad != (layout.logs / "good.txt").read_text()
    assert "OPENAI" not in (layout.logs / "env.txt").read_text()
    assert f"sh {layout.work_validate} FILE" in log
    checks = [entry.details for entry in read_ledger(layout.ledger) if entry.kind == Kind.CHECK]
    assert [check["valid"] for check in checks] == [True, False]
    assert verify_group(Path(report.directory), registry).findings == ()


def test_an_obfuscated_run_does_not_name_its_competition(registry, request_for):
    command = HAND_IN + 'cat "$MLEB_DATA/description.md"; echo "id: $COMPETITION_ID"'
    terms = Terms(obfuscated=True)
    report = evaluate(request_for("command", settings={"command": command}, terms=terms), registry)
    log = only_run(report).log.read_text()
    assert "id: competition-" in log
    title = registry.competition(DIABETES).description.splitlines()[0].removeprefix("# ")
    assert title not in log


def test_a_ledger_that_an_agent_spoilt_is_replaced_and_told(registry, request_for):
    spoil = HAND_IN + 'test -e "$MLEB_LOGS/../../../spoilt" || { echo x >>"$MLEB_LOGS/../../../ledger.jsonl"; '
    spoil += 'touch "$MLEB_LOGS/../../../spoilt"; }'
    report = evaluate(request_for("command", settings={"command": spoil}), registry)
    (run,) = report.runs
    layout = only_run(report)
    assert run.status is RunStatus.FINISHED
    assert run.attempt == 2
    assert read_ledger(layout.ledger)[0].kind == Kind.SPOILT
    assert layout.spoilt_ledger(1).is_file()
    findings = verify_group(Path(report.directory), registry).findings
    assert any("spoilt" in finding.what or "did not hold" in finding.what for finding in findings), findings


@pytest.mark.parametrize(
    ("fields", "error", "told"),
    [
        ({"terms": Terms(network=("pypi.example",))}, UsageError, "does not close the network"),
        ({"terms": Terms(network=("a b",))}, UsageError, "no host"),
        ({"terms": Terms(record="a", replay="b")}, UsageError, "exclude each other"),
        ({"terms": Terms(replay="nowhere/at/all")}, UsageError, "no directory of recorded exchanges"),
        ({"limits": Limits(gpus=4096)}, RunnerError, "4096 GPUs are asked for"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused_before_anything_starts(registry, request_for, fields, error, told):
    with pytest.raises(error, match=told):
        plan(request_for("dummy", **fields), registry)


@pytest.mark.parametrize(
    ("model_name", "terms", "told"),
    [
        ("nobody/x", Terms(), "nobody"),
        ("lab", Terms(), "lab"),
        ("lab/small", Terms(budget=Budget(cost_usd=1)), "price of lab/small is unknown"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_before_anything_starts(
    registry, request_for, model, model_name, terms, told
):
    with pytest.raises(UsageError, match=told):
        plan(request_for("react", model=model_name, terms=terms), registry)


def test_a_model_without_its_key_is_refused(registry, request_for, monkeypatch):
    for name in os.environ:
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        plan(replace(request_for("react"), model="openai/gpt-4o"), registry)
