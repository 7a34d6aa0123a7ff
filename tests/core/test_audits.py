"""Audits: carried out, kept, joined into reports; one that breaks down stops no other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mleb_core.audits.carry_out import audit_data, audit_runs
from mleb_core.audits.findings import Finding, findings_of, read_records
from mleb_core.errors import NotPreparedError, RunGroupError, UnknownIdError, UsageError
from mleb_core.evaluate import EvalRequest, evaluate
from mleb_core.group_dir import BusyGroupError, held
from mleb_core.layout import GroupLayout
from mleb_core.plugins import load_plugins
from mleb_core.prepare import prepare
from mleb_core.registry import Registry
from mleb_core.report.load import load_group_report
from mleb_core.run import Limits
from mleb_core.testing import AuditContract
from mleb_core.verify import verify_group

DIABETES = "diabetes-progression"
PLUGIN = Path(__file__).parents[1] / "fixtures/audits"
MLEB = Path(sys.executable).with_name("mleb")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("data")
    prepare(Registry().competition(DIABETES), data_dir)
    return data_dir


@pytest.fixture
def registry(monkeypatch) -> Registry:
    monkeypatch.syspath_prepend(str(PLUGIN))
    return Registry(load_plugins())


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory) -> Path:
    request = EvalRequest(
        ("dummy",), (DIABETES,), data_dir, tmp_path_factory.mktemp("runs"), seeds=2, limits=Limits(time_s=60)
    )
    report = evaluate(request, Registry())
    return request.output / report.group.name


@pytest.fixture
def group(finished, tmp_path) -> GroupLayout:
    """A finished group of two runs, for each test anew."""
    import shutil

    return GroupLayout(Path(shutil.copytree(finished, tmp_path / finished.name)))


def test_findings_are_kept_and_stand_in_the_group_s_report(registry, group):
    before = {path: path.read_bytes() for path in group.root.rglob("*") if path.is_file()}
    (record,) = audit_runs(group.root, registry, names=["thin"], settings={"thin": {"rows": 1000}})
    assert record.plugin == "mleb-auditing-test 1.0"
    assert record.settings == {"rows": 1000, "severity": "serious"}
    report = load_group_report(group.report_json)
    for run in report.runs:
        (finding,) = run.findings
        assert (finding.audit, finding.rule, finding.severity) == ("thin", "few-rows", "serious")
        assert finding.evidence[0].file == "submission/submission.csv"
        assert finding.message == f"{finding.evidence[0].values['rows']} rows."
    # The runs' own files, which the ledgers know, are as they were, and all of it holds.
    reports = {group.report_json, group.report_markdown, group.report_csv, group.grading_report}
    assert all(path.read_bytes() == content for path, content in before.items() if path not in reports)
    assert verify_group(group.root, registry, grade=False).holds


def test_values_that_no_file_can_hold_cost_no_other_audit(registry, group):
    odd, thin = audit_runs(group.root, registry, names=["odd", "thin"])
    (half,) = odd.runs[0].findings
    assert (half.evidence[0].file, half.evidence[0].values) == ("code/\\udcff.py", {"\\ud800": ["a\\udcff", "nan"]})
    assert odd.error is not None
    assert "PydanticSerializationError" in odd.error
    assert thin.error is None
    assert read_records(group) == ([odd, thin], [])


def test_an_audit_that_is_carried_out_again_replaces_its_findings_alone(registry, group):
    audit_runs(group.root, registry, names=["thin", "breaking"], settings={"thin": {"rows": 1000}})
    assert len(findings_of(group)) == 2
    audit_runs(group.root, registry, names=["thin"], settings={"thin": {"rows": 0}})
    assert findings_of(group) == {}
    assert [record.audit for record in read_records(group)[0]] == ["breaking", "thin"]
    assert all(run.findings == () for run in load_group_report(group.report_json).runs)


def test_an_audit_that_breaks_down_keeps_what_it_had_and_stops_no_other(registry, group):
    nosy, breaking, thin = audit_runs(group.root, registry, names=["nosy", "breaking", "thin"])
    assert breaking.error == "KeyError: 'no\\nmore'"
    assert [finding.message for finding in breaking.findings] == ["One thing in two lines."]
    assert "seed 99, which it was not asked about" in nosy.error
    assert thin.error is None
    assert len(thin.runs) == 2


def test_runs_that_have_not_ended_are_not_looked_at(registry, group):
    place = group.run(DIABETES, "dummy", 1)
    run = json.loads(place.run.read_text())
    place.run.write_text(json.dumps({**run, "status": "running"}))
    (record,) = audit_runs(group.root, registry, names=["thin"])
    assert [run.key.seed for run in record.runs] == [0]


def test_a_damaged_record_is_told_and_costs_nothing_else(registry, group):
    audit_runs(group.root, registry, names=["thin"], settings={"thin": {"rows": 1000}})
    group.audit("other").write_text("{")
    records, (problem,) = read_records(group)
    assert [record.audit for record in records] == ["thin"]
    assert "other.json: no findings of an audit" in problem
    assert len(findings_of(group)) == 2


def test_what_cannot_be_audited_is_refused(registry, group, data_dir, tmp_path):
    competition = registry.competition(DIABETES)
    with pytest.raises(UnknownIdError, match="did you mean thin"):
        audit_runs(group.root, registry, names=["thinn"])
    with pytest.raises(UsageError, match="audit breaking does not look at prepared data"):
        audit_data(competition, data_dir, registry, names=["breaking"])
    with pytest.raises(UsageError, match=r"audit setting thin\.rowz"):
        audit_runs(group.root, registry, names=["thin"], settings={"thin": {"rowz": 1}})
    with pytest.raises(UsageError, match="settings of thin: no such audit was asked for"):
        audit_runs(group.root, registry, names=["breaking"], settings={"thin": {"rows": 1}})
    with pytest.raises(NotPreparedError):
        audit_data(competition, tmp_path / "nowhere", registry, names=["thin"])
    with pytest.raises(RunGroupError):
        audit_runs(tmp_path, registry, names=["thin"])
    with held(group.root), pytest.raises(BusyGroupError):
        audit_runs(group.root, registry, names=["thin"])
    assert not group.audits()


def test_data_is_audited(registry, data_dir):
    report = audit_data(
        registry.competition(DIABETES), data_dir, registry, names=["thin"], settings={"thin": {"rows": 10**6}}
    )
    assert report.competition == DIABETES
    assert report.worst() == "serious"
    names = {finding.evidence[0].file for finding in report.findings}
    assert names == {"public/train.csv", "public/test.csv", "public/sample_submission.csv"}
    assert {finding.audit for finding in report.findings} == {"thin"}
    assert audit_data(registry.competition(DIABETES), data_dir, registry, names=["thin"]).worst() is None


def test_a_finding_is_one_line():
    assert Finding(rule="a", severity="info", message=" a\n b ").message == "a b"
    with pytest.raises(ValueError, match="at least 1"):
        Finding(rule="a", severity="info", message=" \n ")


def mleb(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLEB_")}
    env = {**kept, "PYTHONPATH": str(PLUGIN), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
    command = [MLEB, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=240)


def test_the_commands_say_what_was_found_and_where(group, data_dir, tmp_path):
    listed = json.loads(mleb("list", "audits", "--json", cwd=tmp_path).stdout)
    assert {"id": "thin", "looks_at": ["data", "runs"]}.items() <= next(r for r in listed if r["id"] == "thin").items()
    setting = ["--set", "thin.rows=1000"]
    result = mleb("audit", "runs", group.root, "--audit", "thin", *setting, cwd=tmp_path)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{DIABETES} dummy seed 0: serious: thin/few-rows: ")
    assert lines[1].startswith("    submission/submission.csv, line 1: rows ")
    assert lines[-1] == "2 runs: thin: 2 serious"
    fine = mleb("audit", "runs", group.root, "--audit", "thin", "--json", cwd=tmp_path)
    assert fine.returncode == 0
    assert [record["audit"] for record in json.loads(fine.stdout)] == ["thin"]
    broken = mleb("audit", "runs", group.root, "--audit", "breaking", cwd=tmp_path)
    assert broken.returncode == 1
    assert "audit breaking came to no end: KeyError" in broken.stderr
    data = mleb("audit", "data", "-c", DIABETES, "--audit", "thin", *setting, "--data-dir", data_dir, cwd=tmp_path)
    assert data.returncode == 1
    assert f"{DIABETES}: serious: thin/few-rows: " in data.stdout
    wrong = mleb("audit", "data", "-c", DIABETES, "--audit", "thin", "--set", "rows=1", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "expected AUDIT.KEY=VALUE" in wrong.stderr


def test_eval_audits_once_the_runs_have_ended(data_dir, tmp_path):
    asked = ["eval", "--plugin", "dummy", "-c", DIABETES, "--data-dir", data_dir, "-o", tmp_path / "runs"]
    result = mleb(*asked, "--audit", "thin", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (group,) = (tmp_path / "runs").iterdir()
    assert [record.audit for record in read_records(GroupLayout(group))[0]] == ["thin"]
    wrong = mleb(*asked, "--audit", "thinn", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean thin" in wrong.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1


class TestThin(AuditContract):
    id = "thin"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _installed(cls):
        sys.path.insert(0, str(PLUGIN))
        yield
        sys.path.remove(str(PLUGIN))


def test_the_report_for_people_tells_the_worst_first(registry, group):
    audit_runs(group.root, registry, names=["thin"], settings={"thin": {"rows": 1000, "severity": "warning"}})
    text = group.report_markdown.read_text()
    section = text[text.index("## Findings of audits") :].partition("\n\n## ")[0]
    assert section.count("- warning: ") == 2
    assert "thin/few-rows" in section
    audit_runs(group.root, registry, names=["thin"], settings={"thin": {"rows": 1000, "severity": "info"}})
    assert "- and 2 notes on what was not looked at" in group.report_markdown.read_text()
    audit_runs(group.root, registry, names=["thin"], settings={"thin": {"rows": 0}})
    assert "Findings of audits" not in group.report_markdown.read_text()
