import json
from pathlib import Path

import pytest

from mleb_core.audits.carry_out import audit_runs
from mleb_core.audits.protocol import AuditedRuns
from mleb_core.errors import UsageError
from mleb_core.layout import CompetitionData, GroupLayout
from mleb_core.run import Limits, Outcome, Run, RunGroup, RunStatus
from mleb_core.testing import AuditContract
from mleb_core.testing.model_server import ModelServer
from mleb_core.testing.tinies import TINY, TinyRegistry, tiny_prepared
from mleb_rules.audit import RulesAudit

STARTED = "2026-01-01T00:00:00+00:00"
HAND = "I look at each point and write down whether it is above the line"


class TestRulesContract(AuditContract):
    id = "rules"


@pytest.fixture
def group(tmp_path: Path):
    """Two agents with two seeds on the tiny competition, all of which hand in the sample, and left a log."""
    data_dir = tmp_path / "data"
    data = tiny_prepared(data_dir)
    layout = GroupLayout(tmp_path / "runs" / "g")
    asked = RunGroup(
        name="g",
        created_at=STARTED,
        competitions=("tiny",),
        agents=("one", "two"),
        seeds=2,
        model="lab/own",
        runner="local",
        engine="local",
        workers=1,
        limits=Limits(),
        data_dir=str(data_dir),
    )
    layout.root.mkdir(parents=True)
    layout.group.write_text(asked.model_dump_json())
    for key in asked.run_keys():
        place = layout.run(key.competition, key.agent, key.seed)
        place.submission_dir.mkdir(parents=True)
        place.code.mkdir()
        outcome = Outcome(status=RunStatus.FINISHED, exit_code=0)
        run = Run(key=key, group="g", status=RunStatus.FINISHED, attempt=1, outcome=outcome, created_at=STARTED)
        place.run.write_text(run.model_dump_json())
        place.log.write_text(f"reading train.csv\n{HAND}\nseed {key.seed} done\n")
        (place.code / "main.py").write_text("table = read('train.csv')\nimport kaggle\n")
        place.submission.write_bytes((data.public / "sample_submission.csv").read_bytes())
    return layout, asked, data_dir


def found_in(group, **settings):
    layout, asked, data_dir = group
    keys = tuple(asked.run_keys())
    runs = AuditedRuns(asked, layout, keys, lambda label: TINY, data_dir, settings)
    return [(key and (key.agent, key.seed), finding) for key, finding in RulesAudit().audit_runs(runs)]


def test_signs_become_findings_with_files_and_lines(group):
    found = found_in(group)
    mine = [finding for key, finding in found if key == ("one", 0)]
    assert {(finding.rule, finding.severity) for finding in mine} == {
        ("not-looked-at", "info"),  # it has no ledger
        ("solutions-sought", "warning"),
        ("data-ignored", "warning"),
    }
    kaggle = next(finding for finding in mine if "Kaggle" in finding.message)
    assert [(one.file, one.line, one.values) for one in kaggle.evidence] == [
        ("code/main.py", 2, {"text": "import kaggle"})
    ]
    assert any("is the sample submission" in finding.message for finding in mine)
    assert any("two seed 0 handed in the same" in finding.message for finding in mine)
    assert [finding.message for key, finding in found if key is None] == [
        "no judge read the logs; --set rules.judge=MODEL has one do so"
    ]


def test_a_judge_reads_every_run_and_agreement_is_reported(group, monkeypatch):
    def script(asked):
        text = asked.body["messages"][1]["content"]
        wrong = HAND in text and "The agent is two; the model that it was given: lab/own." in text
        claims = [{"rule": "hand-labelling", "quote": HAND, "why": "It says so."}] if wrong else []
        return json.dumps({"suspicions": [*claims, {"rule": "other-model", "quote": "never said this at all"}]})

    with ModelServer(script) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        found = found_in(group, judge="lab/judge", repeats=2)
        assert len(server.asked) == 8
    labelled = [(key, finding) for key, finding in found if finding.rule == "hand-labelling"]
    assert [(key, finding.severity) for key, finding in labelled] == [(("two", 0), "warning"), (("two", 1), "warning")]
    (evidence,) = labelled[0][1].evidence
    assert (evidence.file, evidence.line, evidence.values) == ("agent.log", 2, {"text": HAND})
    told = [finding for key, finding in found if key and finding.rule == "judge"]
    assert len(told) == 4 and all(finding.evidence[0].values["thrown_away"] == 2 for finding in told)
    (whole,) = [finding for key, finding in found if key is None]
    assert whole.message == (
        "judgements by lab/judge, rubric 1: 100 % of pairs of judgements agree, Fleiss' kappa 1.00"
    )
    kept = group[0].audit("rules").with_suffix("")
    assert len((kept / "transcript.jsonl").read_text().splitlines()) == 8
    assert json.loads((kept / "usage.json").read_text())["requests"] == 8


def test_a_judge_that_cannot_be_asked_is_told_before_anything_is_done(group, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="no key for provider openai"):
        found_in(group, judge="openai/gpt-4o")


def test_findings_stand_in_the_group(group):
    layout, _, data_dir = group

    class Here(TinyRegistry):
        audits = {"rules": RulesAudit()}

        def audit(self, id):
            return self.audits[id]

        def competition(self, label):
            return TINY

        def owner(self, kind, id):
            return None

    (record,) = audit_runs(layout.root, Here(), names=["rules"], data_dir=data_dir)
    assert record.error is None and len(record.runs) == 4
    assert "solutions-sought" in layout.audit("rules").read_text()


def test_without_its_data_or_competition_a_run_is_told_of(group, tmp_path):
    layout, asked, _ = group
    runs = AuditedRuns(asked, layout, tuple(asked.run_keys())[:1], lambda label: TINY, tmp_path / "gone", {})
    assert CompetitionData.of(tmp_path / "gone", "tiny").public.exists() is False
    messages = [finding.message for _, finding in RulesAudit().audit_runs(runs)]
    assert any("prepared data is not at hand" in message for message in messages)

    def unknown(label):
        raise UsageError(f"no competition {label!r}")

    runs = AuditedRuns(asked, layout, tuple(asked.run_keys())[:1], unknown, tmp_path, {})
    assert next(iter(RulesAudit().audit_runs(runs)))[1].message == "the run is not looked at: no competition 'tiny'"


def test_a_run_that_makes_the_audit_fail_costs_no_other(group, monkeypatch):
    def broken(layout, grading, data):
        if "one" in layout.root.parts:
            raise MemoryError("so\nlarge")
        return [], []

    monkeypatch.setattr("mleb_rules.in_findings.signs_of", broken)
    found = [(key, finding) for key, finding in found_in(group) if finding.severity == "warning"]
    told = "what the run left made the audit fail: MemoryError: so large"
    assert {key for key, finding in found if finding.message == told} == {("one", 0), ("one", 1)}
