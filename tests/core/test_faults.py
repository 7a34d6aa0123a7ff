"""What became of an agent in one line, seen through whole runs: a real agent, a real gateway, a scripted provider."""

import json
from pathlib import Path

import pytest

from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.faults import last_words
from mleb_core.layout import GroupLayout
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.formats import to_csv, to_markdown
from mleb_core.report.models import GroupReport, RunReport
from mleb_core.report.statistics.figures import with_figures
from mleb_core.report.usage import told_steps
from mleb_core.run import Cause, Limits, RunStatus
from mleb_core.terms import Budget, Terms
from mleb_core.testing.model_server import Failure, ModelServer, Reply
from mleb_core.verify import verify_group

DIABETES = "diabetes-progression"
KEY = "sk-of-the-host-0123456789"
ASK = (
    "import os, sys, urllib.request as u, urllib.error\n"
    "for _ in range(int(sys.argv[1])):\n"
    "    request = u.Request(os.environ['OPENAI_BASE_URL'] + '/chat/completions',\n"
    '        b\'{"model": "mleb-model", "messages": [{"role": "user", "content": "hi"}]}\',\n'
    "        {'authorization': 'Bearer ' + os.environ['OPENAI_API_KEY']})\n"
    "    try:\n"
    "        u.urlopen(request).read()\n"
    "    except urllib.error.HTTPError as error:\n"
    "        error.read()\n"
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
def lab(monkeypatch):
    """A provider `lab` with the models `small`, which answers, and no other."""

    def script(asked):
        if asked.body["model"] != "small":
            return Failure(404, f"The model {asked.body['model']} does not exist", type="model_not_found")
        return Reply("hello", input_tokens=1000, output_tokens=10)

    with ModelServer(script, key=KEY) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", KEY)
        yield server


@pytest.fixture
def run(registry, data_dir, tmp_path):
    """One run of a shell command that can ask its model N times by `$ASK N`."""

    def go(command: str, model: str | None = "lab/small", time_s: float = 90, **fields: object) -> GroupReport:
        asks = tmp_path / "ask.py"
        asks.write_text(ASK)
        settings = {"command": command.replace("$ASK", "python3 ask.py"), "files": str(asks)}
        request = EvalRequest(
            agents=("command",),
            competitions=(DIABETES,),
            data_dir=data_dir,
            output=tmp_path / "runs",
            model=model,
            settings=settings,
            limits=Limits(time_s=time_s, grace_s=1),
            **fields,  # type: ignore[arg-type]
        )
        return evaluate(request, registry)

    return go


def only(report: GroupReport) -> RunReport:
    (run,) = report.runs
    return run


def test_a_crash_tells_after_how_many_steps_and_the_last_words(lab, run, registry):
    ending = HAND_IN + r"""$ASK 3; printf '\033[31mValueError: no \033[1mcode\033[0m\r\n\n  \n' >&2; exit 3"""
    report = run(ending)
    found = only(report)
    assert found.message == "exit code 3 after 3 model calls: ValueError: no code"
    assert (found.status, found.cause) == (RunStatus.FAILED, Cause.AGENT_ERROR)
    assert found.competition_report is not None and found.competition_report.valid_submission
    events = GroupLayout(Path(report.directory)).run(DIABETES, "command", 0).events.read_text()
    assert "ValueError: no code" in events
    assert verify_group(Path(report.directory), registry).findings == ()


def test_a_key_that_is_refused(lab, run, monkeypatch):
    monkeypatch.setenv("MLEB_PROVIDER_LAB_API_KEY", "sk-wrong-0123456789")
    message = only(run("$ASK 2; echo giving up; exit 1")).message
    assert message == (
        "model lab/small: provider lab refused the key of the host with status 401; "
        "exit code 1 after 0 model calls: giving up"
    )


def test_a_model_that_does_not_exist_and_nothing_handed_in(lab, run):
    found = only(run("$ASK 1; echo done", model="lab/large"))
    assert found.status is RunStatus.FINISHED
    assert found.message == (
        "model lab/large: The model large does not exist (status 404); no submission after 0 model calls: done"
    )


def test_no_submission_without_a_model(run):
    assert only(run("echo I am done", model=None)).message == "no submission: I am done"
    assert only(run("true", model=None)).message == "no submission"


def test_all_went_well_is_no_message(lab, run):
    assert only(run(HAND_IN + "$ASK 1")).message == ""


def test_time_was_up(lab, run):
    found = only(run("$ASK 2; echo thinking; sleep 100", time_s=8))
    assert found.cause is Cause.AGENT_TIMEOUT
    assert found.message == "time was up after 8 s, no submission, after 2 model calls"


def test_a_budget_was_reached(lab, run):
    found = only(run("$ASK 3; echo no more; exit 1", terms=Terms(budget=Budget(requests=2))))
    assert found.cause is Cause.BUDGET_REACHED
    assert found.message.endswith("; exit code 1 after 2 model calls: no more") and "2" in found.message


def test_an_agents_own_count_of_steps_and_what_it_used_are_in_every_report(lab, run, registry):
    told = HAND_IN + """$ASK 2; echo '{"steps": 7, "unit": "programs"}' > $MLEB_LOGS/steps.json"""
    report = run(told)
    use = only(report).usage
    assert use is not None
    assert (use.steps, use.step_unit, use.steps_told) == (7, "programs", True)
    assert (use.model_calls, use.failed_calls, use.input_tokens, use.output_tokens) == (2, 0, 2000, 20)
    assert (use.cost_usd, use.known_cost_usd, use.tokens) == (None, 0.0, 2020)
    directory = Path(report.directory)
    on_disk = json.loads(GroupLayout(directory).run(DIABETES, "command", 0).report.read_text())["usage"]
    assert on_disk == use.model_dump()
    head, line = (row.split(",") for row in to_csv(report).splitlines())
    row = dict(zip(head, line, strict=True))
    assert (row["steps"], row["step_unit"], row["model_calls"]) == ("7", "programs", "2")
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == ("2000", "20", "")
    text = to_markdown(report)
    assert "## Effort" in text and "7 programs | 2 | 2000 | 20 | unknown |" in text
    figures, problems = with_figures(report, directory)
    cost = figures.figures[0].cost
    assert (cost.steps, cost.runs_with_steps, cost.tokens, problems) == (7, 1, 2020, [])
    assert verify_group(directory, registry).findings == ()


@pytest.mark.parametrize(
    "told",
    [
        '{"steps": -1}',
        '{"steps": true}',
        '{"steps": "9"}',
        "[9]",
        "nonsense",
        '{"steps": 1e3}',
        '{"steps": 99999999999}',
    ],
)
def test_steps_that_are_no_count_are_not_taken(tmp_path, told):
    path = tmp_path / "steps.json"
    assert told_steps(path) is None
    path.write_text(told)
    assert told_steps(path) is None
    path.write_text('{"steps": 3, "unit": ["x"]}')
    assert told_steps(path) == (3, "steps")
    path.write_text('{"steps": 3, "unit": "\\u001b[31m trials and very many more words"}')
    assert told_steps(path) == (3, "\\x1b[31m trials and very many…")


def test_an_agent_without_a_model_may_count_its_steps(run):
    use = only(run(HAND_IN + """echo '{"steps": 2}' > $MLEB_LOGS/steps.json""", model=None)).usage
    assert use is not None and (use.steps, use.step_unit, use.model_calls, use.cost_usd) == (2, "steps", 0, 0.0)
    assert only(run(HAND_IN, model=None)).usage is None


def test_last_words_are_short_and_harmless(tmp_path):
    log = tmp_path / "agent.log"
    assert last_words(log) == ""
    log.write_bytes(b"first\nl\xffst \x1b]0;title\x07\x1b[2K" + "‮".encode() + b"x" * 500 + b"\n\x1b[0m\n\r\n")
    words = last_words(log)
    assert words.startswith("l�st \\u202exxx") and len(words) == 200 and words.endswith("…")
    log.write_bytes(b"the end\n" + b"\n" * 100_000)
    assert last_words(log) == ""  # too far away
    link = tmp_path / "link"
    link.symlink_to("/etc/passwd")
    assert last_words(link) == ""
