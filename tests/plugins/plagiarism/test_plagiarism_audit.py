import sys
from pathlib import Path

import pytest

from mleb_core.audits.protocol import AuditedRuns
from mleb_core.competition import Competition
from mleb_core.errors import UsageError
from mleb_core.layout import GroupLayout
from mleb_core.run import Limits, RunGroup
from mleb_core.testing import AuditContract
from mleb_core.testing.tinies import TINY
from mleb_plagiarism.audit import PlagiarismAudit
from mleb_plagiarism.in_findings import notebooks_folder


class TestPlagiarismContract(AuditContract):
    id = "plagiarism"


@pytest.fixture
def audited(tmp_path: Path, solutions, ways):
    """Three seeds: a renamed copy, an honest solution, and nothing."""
    group = RunGroup(
        name="g",
        created_at="2026-01-01T00:00:00+00:00",
        competitions=("tiny",),
        agents=("one",),
        seeds=3,
        runner="local",
        engine="local",
        workers=1,
        limits=Limits(),
        data_dir=str(tmp_path / "data"),
    )
    layout = GroupLayout(tmp_path / "runs" / "g")
    copy, honest, _ = (layout.run("tiny", "one", seed) for seed in range(3))
    copy.code.mkdir(parents=True)
    (copy.code / "main.py").write_text(ways["renamed"](solutions["forest"]))
    honest.code.mkdir(parents=True)
    (honest.code / "main.py").write_text(solutions["network"])
    (honest.code / "broken.ipynb").write_text("{")

    def ask(competition=TINY, **settings):
        runs = AuditedRuns(
            group, layout, tuple(group.run_keys()), lambda label: competition, tmp_path / "data", settings
        )
        return [(key and key.seed, finding) for key, finding in PlagiarismAudit().audit_runs(runs)]

    return ask


def test_copies_are_warnings_with_passages_side_by_side(audited, references):
    (references / "network.py").unlink()
    found = audited(corpus=str(references))
    suspects = [(seed, finding) for seed, finding in found if finding.rule == "copied-code"]
    assert [seed for seed, _ in suspects] == [0]
    finding = suspects[0][1]
    assert finding.severity == "warning"
    assert finding.message.endswith("% of code/main.py stands in forest.py")
    figures, *passages = finding.evidence
    assert figures.file == "code/main.py" and figures.values["similarity"] > 90
    assert figures.values["reference"] == {"path": "forest.py"}
    assert len(passages) >= 1
    assert all(one.file == "code/main.py" and one.line and one.values["side_by_side"] for one in passages)
    first = passages[0].values
    assert first["reference_lines"][0] in (references / "forest.py").read_text().split("\n")
    assert first["side_by_side"][0].split() == [*first["place"].split(), "|", *first["reference_place"].split()]
    told = {(seed, finding.rule): finding.message for seed, finding in found}
    assert told[None, "references"].startswith("3 public solutions in ")
    assert told[1, "similarity"].startswith("at most ")
    assert "broken.ipynb" in told[1, "not-compared"]
    assert told[2, "not-compared"] == "the run has no code that is long enough to be compared"


def test_without_references_it_says_so(audited):
    found = audited()
    assert {finding.severity for _, finding in found} == {"info"}
    assert all("no public solutions" in finding.message for _, finding in found) and len(found) == 3


def test_a_corpus_that_is_none_is_refused(audited, tmp_path):
    with pytest.raises(UsageError, match="is no folder"):
        audited(corpus=str(tmp_path / "nowhere"))


@pytest.fixture
def from_kaggle(tmp_path: Path) -> Competition:
    """The tiny competition, as if its data came from Kaggle."""
    folder = tmp_path / "competitions" / "tiny"
    folder.mkdir(parents=True)
    text = (TINY.folder / "competition.toml").read_text()
    (folder / "competition.toml").write_text(text.replace('kind = "python"', 'kind = "kaggle"', 1))
    (folder / "description.md").write_text("# Tiny")
    return Competition(folder)


@pytest.fixture
def kaggle(monkeypatch, tmp_path):
    """The server of core's tests."""
    import importlib.util

    name, path = "kaggle_server", Path(__file__).parents[2] / "core" / "kaggle" / "kaggle_server.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    with sys.modules[name].KaggleServer() as server:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("MLEB_KAGGLE_ENDPOINT", server.endpoint)
        monkeypatch.setenv("KAGGLE_API_TOKEN", sys.modules[name].TOKEN)
        yield server


def notebook(ref, votes, source, ways):
    blob = {"source": source and ways["notebook"](source), "kernelType": "notebook", "language": "python"}
    return {"ref": ref, "title": f"By {ref}", "author": ref, "totalVotes": votes, "blob": blob if source else None}


def test_notebooks_are_fetched_kept_and_named(audited, from_kaggle, kaggle, solutions, ways):
    kaggle.notebooks["tiny"] = [
        notebook("ann/trees", 9, solutions["forest"], ways),
        notebook("bob/gone", 8, None, ways),
        notebook("cyd/nets", 7, solutions["pipeline"], ways),
    ]
    found = audited(from_kaggle, kaggle=2)
    (suspect,) = [finding for _, finding in found if finding.rule == "copied-code"]
    assert suspect.message.endswith("% of code/main.py stands in By ann/trees")
    assert suspect.evidence[0].values["reference"]["url"] == "https://www.kaggle.com/code/ann/trees"
    assert any("notebook bob/gone is not to be had" in finding.message for _, finding in found)
    assert {path.name for path in notebooks_folder("tiny").iterdir()} == {"ann__trees.ipynb", "notebooks.json"}
    asked = len(kaggle.log)
    again = audited(from_kaggle)  # what was fetched is compared with, and nobody is asked
    assert len(kaggle.log) == asked
    assert [finding.message for _, finding in again if finding.rule == "copied-code"] == [suspect.message]


def test_kaggle_that_gives_nothing_is_told(audited, from_kaggle, kaggle, monkeypatch):
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    found = audited(from_kaggle, kaggle=5)
    assert "no Kaggle credentials" in found[0][1].message
    assert {finding.severity for _, finding in found} == {"info"}
