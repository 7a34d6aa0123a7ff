import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mleb_core.audits.protocol import AuditedRuns
from mleb_core.competition import Competition
from mleb_core.errors import UsageError
from mleb_core.layout import GroupLayout
from mleb_core.prepare import prepare
from mleb_core.report.models import CompetitionReport, RunReport
from mleb_core.run import Limits, RunGroup, RunStatus
from mleb_core.testing import AuditContract
from mleb_core.testing.model_server import ModelServer
from mleb_core.testing.tinies import TINY
from mleb_familiarity.audit import FamiliarityAudit
from mleb_familiarity.in_findings import pages_folder

NAMES = tuple(f"task-{number}" for number in range(6))
SCORES = (0.1, 0.3, 0.2, 0.6, 0.5, 0.9)
STARTED = "2026-01-01T00:00:00+00:00"


class TestFamiliarityContract(AuditContract):
    id = "familiarity"


def competition(folder: Path, name: str, kind: str = "python") -> Competition:
    place = folder / name
    place.mkdir(parents=True)
    text = (TINY.folder / "competition.toml").read_text().replace('id = "tiny"', f'id = "{name}"')
    text = text.replace('"tiny-accuracy"', '"accuracy"').replace('kind = "python"', f'kind = "{kind}"', 1)
    (place / "competition.toml").write_text(text)
    (place / "description.md").write_text("# Tiny\n")
    (place / "raw.py").write_text((TINY.folder / "raw.py").read_text())
    return Competition(place)


def report(key, group, sample: float, score: float | None) -> RunReport:
    found = CompetitionReport(
        competition_id=key.competition,
        score=None if score is None else sample + score * (1 - sample),
        gold_threshold=1.0,
        silver_threshold=0.9,
        bronze_threshold=0.8,
        median_threshold=0.7,
        any_medal=False,
        gold_medal=False,
        silver_medal=False,
        bronze_medal=False,
        above_median=False,
        submission_exists=True,
        valid_submission=score is not None,
        is_lower_better=False,
        created_at=STARTED,
        submission_path="submission.csv",
    )
    return RunReport(
        key=key, group=group, status=RunStatus.FINISHED, attempt=1, created_at=STARTED, competition_report=found
    )


@pytest.fixture
def audited(tmp_path: Path):
    """Six competitions, one agent, two seeds: the second of each has no valid submission."""
    competitions = {name: competition(tmp_path / "competitions", name) for name in NAMES}
    data_dir = tmp_path / "data"
    prepare(competitions[NAMES[0]], data_dir)
    for name in NAMES[1:]:
        (data_dir / name).symlink_to(data_dir / NAMES[0])
    prepared = data_dir / NAMES[0] / "prepared"
    answers = (prepared / "private" / "answers.csv").read_text().split()[1:]
    sample = sum(row.endswith(",0") for row in answers) / len(answers)  # the sample says 0 everywhere
    group = RunGroup(
        name="g",
        created_at=STARTED,
        competitions=NAMES,
        agents=("one",),
        seeds=2,
        model="lab/known",
        runner="local",
        engine="local",
        workers=1,
        limits=Limits(),
        data_dir=str(data_dir),
    )
    layout = GroupLayout(tmp_path / "runs" / "g")
    for key in group.run_keys():
        place = layout.run(key.competition, key.agent, key.seed)
        place.root.mkdir(parents=True)
        score = SCORES[NAMES.index(key.competition)] if key.seed == 0 else None
        place.report.write_text(report(key, "g", round(sample, 5), score).model_dump_json())

    def ask(keys=None, **settings):
        keys = tuple(group.run_keys()) if keys is None else keys
        runs = AuditedRuns(group, layout, keys, competitions.__getitem__, data_dir, settings)
        return [finding for key, finding in FamiliarityAudit().audit_runs(runs) if key is None]

    return ask, layout


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    folder = tmp_path / "passages"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / f"{name}.txt").write_text(f"level {number} " + "words on the competition " * 10)
    return folder


@pytest.fixture
def lab(monkeypatch, echo):
    with ModelServer(echo(lambda prompt: 0.1 + 0.1 * int(prompt.split()[1]) if "level" in prompt else 0.5)) as server:
        monkeypatch.setenv("MLEB_PROVIDER_LAB_BASE_URL", f"{server.url}/v1")
        yield server


def test_scores_against_familiarity_over_competitions(audited, passages, lab):
    ask, layout = audited
    found = ask(passages=str(passages))
    known = [finding for finding in found if finding.rule == "familiarity"]
    assert [finding.evidence[0].values["probability"] for finding in known] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    )
    assert known[0].message.startswith("lab/known gives the words of 1 passages on task-0 a mean probability of 0.100")
    (relation,) = [finding for finding in found if finding.rule == "relation"]
    values = relation.evidence[0].values
    assert [point[2] for point in values["points"]] == pytest.approx(list(SCORES), abs=1e-4)
    assert values["rho"] == pytest.approx(1 - 6 * (1 + 1 + 1 + 1) / (6 * 35))
    assert values["interval"][0] <= values["rho"] <= values["interval"][1]
    assert (values["runs"], values["runs_left_out"]) == (6, 6)
    assert relation.severity == ("warning" if values["interval"][0] > 0 else "info")
    picture = ET.fromstring(Path(values["plot"]).read_text())
    assert len(picture.findall("{http://www.w3.org/2000/svg}circle")) == 6
    kept = layout.audit("familiarity").with_suffix("")
    assert Path(values["plot"]) == kept / "plot.svg"
    assert len((kept / "transcript.jsonl").read_text().splitlines()) == 7  # one to see how it can be measured
    assert json.loads((kept / "usage.json").read_text())["failed"] == 0


def test_what_is_left_out_is_told(audited, passages, lab, tmp_path):
    ask, layout = audited
    (passages / "task-1.txt").unlink()
    (passages / "task-2.txt").write_text("short")
    layout.run("task-3", "one", 0).report.write_text("{")
    found = ask(passages=str(passages), plot=str(tmp_path / "mine.svg"))
    told = [finding.message for finding in found if finding.rule == "not-measured"]
    assert told[0] == "task-2.txt: fewer than 100 characters of text"
    assert any(line.startswith("task-3 one seed 0 is left out: ") for line in told)
    assert [finding.evidence[0].values["competitions"] for finding in found if finding.rule == "relation"] == [3]
    assert (tmp_path / "mine.svg").is_file()


def test_without_passages_or_model_or_data(audited, passages, lab, tmp_path, monkeypatch):
    ask, _ = audited
    assert [finding.rule for finding in ask()] == ["not-measured"]
    assert lab.asked == []
    with pytest.raises(UsageError, match="is no folder"):
        ask(passages=str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="no provider 'labb'"):
        ask(passages=str(passages), model="labb/known")
    for name in NAMES:
        (tmp_path / "data" / name).rename(tmp_path / f"gone-{name}")
    found = ask(passages=str(passages))
    assert [finding.rule for finding in found][:6] == ["familiarity"] * 6
    assert {finding.rule for finding in found[6:]} == {"not-measured"}


def test_no_runs_have_ended(audited, passages, lab):
    ask, _ = audited
    assert {finding.rule for finding in ask(keys=(), passages=str(passages))} == {"familiarity"}


def test_pages_come_from_kaggle_and_are_kept(tmp_path, monkeypatch, lab):
    import importlib.util

    name, path = "kaggle_server", Path(__file__).parents[2] / "core" / "kaggle" / "kaggle_server.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    server_module = sys.modules[name]
    task = competition(tmp_path / "competitions", "task-9", kind="kaggle")
    group = RunGroup(
        name="g",
        created_at=STARTED,
        competitions=("task-9",),
        agents=("one",),
        seeds=1,
        model="lab/known",
        runner="local",
        engine="local",
        workers=1,
        limits=Limits(),
        data_dir=str(tmp_path / "data"),
    )
    runs = AuditedRuns(group, GroupLayout(tmp_path / "g"), (), lambda label: task, tmp_path, {"kaggle": True})
    (tmp_path / "g").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_API_TOKEN", server_module.TOKEN)
    with server_module.KaggleServer() as server:
        monkeypatch.setenv("MLEB_KAGGLE_ENDPOINT", server.endpoint)
        server.competitions["task-9"] = server_module.Entry(b"")
        server.pages["task-9"] = [{"name": "description", "content": "<p>level 3 " + "words " * 50 + "</p>"}]
        for _ in range(2):
            (found,) = [finding for _, finding in FamiliarityAudit().audit_runs(runs)]
            assert found.evidence[0].values["probability"] == pytest.approx(0.4)
        assert len(server.log) == 1
    assert (pages_folder() / "task-9" / "description.html").is_file()
