"""`mleb grade --snapshots`: score over time, from what a run left."""

import json
import shutil
from pathlib import Path

import pytest

from mleb_core.layout import GroupLayout
from mleb_core.runner.snapshots import Snapshots, read_snapshots

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"


@pytest.fixture
def group(mleb, prepared_data, tmp_path):
    """A group of two runs of dummy agents, the first of which has snapshots as if it had worked on."""
    runs = tmp_path / "runs"
    result = mleb("eval", "-p", "dummy", "-c", TITANIC, DIABETES, "-d", prepared_data, "-o", runs, "-t", "60")
    assert result.returncode == 0, result.stderr
    (group,) = runs.iterdir()
    return group


def layout_of(group: Path, competition: str):
    return next(layout for layout in GroupLayout(group).runs() if layout.root.parents[1].name == competition)


def take(layout, submissions, **limits):
    """Snapshots of these contents, a minute apart."""
    work = layout.root / "elsewhere"
    work.mkdir()
    shutil.rmtree(layout.snapshots, ignore_errors=True)
    at = Snapshots(layout, work, (), max_bytes=limits.pop("max_bytes", 1 << 30), **limits)
    for minute, content in enumerate(submissions, 1):
        (work / "submission.csv").write_bytes(content)
        at.look(60.0 * minute)
    shutil.rmtree(work)


@pytest.fixture
def improving(group, prepared_data):
    """Snapshots of one run: broken, then the sample, then the truth, then the sample again."""
    layout = layout_of(group, TITANIC)
    sample = layout.submission.read_bytes()
    truth = (prepared_data / TITANIC / "prepared/private/answers.csv").read_bytes()
    take(layout, [b"id\n", sample, truth, sample])
    return layout


def test_score_over_time(mleb, group, improving, tmp_path):
    before = improving.report.read_bytes()
    result = mleb("grade", "--snapshots", group, "--json")
    assert result.returncode == 0, result.stderr
    runs = {run["key"]["competition"]: run for run in json.loads(result.stdout)}
    assert len(runs) == 2
    assert all(one["score"] == runs[DIABETES]["final_score"] for one in runs[DIABETES]["snapshots"])
    run = runs[TITANIC]
    shown = [(one["elapsed_s"], one["valid"], one["medal"]) for one in run["snapshots"]]
    final = json.loads(before)["competition_report"]
    assert shown == [(60, False, "none"), (120, True, final["medal"]), (180, True, "gold"), (240, True, final["medal"])]
    assert [one["score"] for one in run["snapshots"]] == [None, final["score"], 1.0, final["score"]]
    assert run["snapshots"][0]["message"]
    assert (run["final_score"], run["final_sha256"]) == (final["score"], run["snapshots"][1]["sha256"])
    assert json.loads(improving.snapshot_scores.read_text()) == run
    assert improving.report.read_bytes() == before, "the last submission counts"


def test_as_a_table_of_one_run(mleb, improving):
    result = mleb("grade", "--snapshots", improving.root)
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:4] for line in lines[1:]] == [
        [TITANIC, "dummy", "0", time] for time in ("1m00s", "2m00s", "3m00s", "4m00s", "end")
    ]
    assert "gold" in result.stdout and "invalid: " in result.stdout


def test_equal_submissions_are_graded_once(mleb, improving):
    """The copy of what the run's report has graded is not even looked at."""
    for snapshot in read_snapshots(improving)[1::2]:
        (improving.snapshots / snapshot.file).unlink()
    result = mleb("grade", "--snapshots", improving.root, "--json")
    assert result.returncode == 0, result.stderr
    assert [one["valid"] for one in json.loads(result.stdout)[0]["snapshots"]] == [False, True, True, True]


def test_copies_that_are_gone_or_changed(mleb, improving):
    broken, _, truth, _ = (improving.snapshots / snapshot.file for snapshot in read_snapshots(improving))
    broken.unlink()
    truth.write_bytes(truth.read_bytes() + b"\n")
    result = mleb("grade", "--snapshots", improving.root, "--json")
    assert result.returncode == 1
    first, _, third, _ = json.loads(result.stdout)[0]["snapshots"]
    assert (first["valid"], first["score"], first["message"]) == (None, None, "the copy is gone")
    assert (third["valid"], third["message"]) == (None, "the copy is not what was taken (its sha256 differs)")
    assert "0000180.csv: the copy is not what was taken" in result.stderr


def test_submissions_beyond_the_limit(mleb, group):
    layout = layout_of(group, DIABETES)
    take(layout, [b"id\n", b"x\n"], max_copies=1)
    result = mleb("grade", "--snapshots", layout.root, "--json")
    assert result.returncode == 0, result.stderr
    second = json.loads(result.stdout)[0]["snapshots"][1]
    assert (second["valid"], second["message"]) == (None, "not copied: the limit on snapshots was reached")


def test_what_cannot_be(mleb, group, improving, prepared_data, tmp_path):
    result = mleb("grade", "--snapshots", tmp_path)
    assert result.returncode == 2 and "neither a run nor a run group" in result.stderr
    result = mleb("grade", "--snapshots", group, "--submission", tmp_path / "x")
    assert result.returncode == 2 and "--snapshots goes without" in result.stderr
    result = mleb("grade", "--snapshots", group, "-d", tmp_path / "nowhere")
    assert result.returncode == 1 and "is not prepared" in result.stderr
    state = json.loads(improving.run.read_text())
    improving.run.write_text(json.dumps({**state, "status": "running"}))
    result = mleb("grade", "--snapshots", group)
    assert result.returncode == 1 and "has not ended yet" in result.stderr
    assert DIABETES in result.stdout, "the other run is told of all the same"
