"""No change of what a group kept goes unseen."""

import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from verify_groups import DIABETES, cut_last_line, found, is_found, keep_ledger, kept, places, rewrite

from mleb_core.ledger_facts import (
    file_facts,
)
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, load_group, write_group_reports
from mleb_core.verify import verify_group


def test_what_is_flipped_below_covers_every_kind_of_file(made):
    names = {path.name for path in kept(made)}
    assert names >= {"ledger.jsonl", "submission.csv", "transcript.jsonl", "agent.log", "usage.json", "resources.json"}
    assert names >= {"group.json", "report.json", "report.md", "report.csv", "grading_report.json", "0000001.csv"}
    assert names >= {"a b.py", "run.py", "log.txt"}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0), at=st.integers(0), flip=st.integers(1, 255))
def test_a_changed_byte_is_found_in_any_kept_file(made, registry, which, at, flip):
    files = kept(made)
    path = files[which % len(files)]
    content = path.read_bytes()
    at %= len(content)
    try:
        path.write_bytes(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        assert is_found(made, registry), (path, at, flip)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("name", ["report.json", "report.md", "report.csv", "grading_report.json", "group.json"])
def test_every_third_byte_of_the_groups_files_counts(made, registry, name):
    path = made / name
    content = path.read_bytes()
    try:
        for at in range(0, len(content), max(3, len(content) // 150)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert is_found(made, registry), (name, at)
    finally:
        path.write_bytes(content)


def test_every_byte_of_a_runs_report_and_transcript_counts(made, registry):
    place = places(made)[0]
    for path in (place.report, place.transcript):
        content = path.read_bytes()
        try:
            for at in range(0, len(content), 7):
                path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
                assert is_found(made, registry), (path, at)
        finally:
            path.write_bytes(content)


def test_a_finding_names_run_file_and_what(group, registry):
    place = places(group)[0]
    place.submission.write_text(place.submission.read_text().replace("1", "2", 1))
    (first, second) = (line for line in found(verify_group(group, registry, grade=False)))
    assert first == f"{DIABETES} worker seed 0: submission: it is not what the run left"
    assert second == f"{DIABETES} worker seed 0: submission/submission.csv: it is not what the run handed in"


def test_a_better_score_is_found_though_all_else_was_made_to_fit(group, registry):
    """Somebody rewrites report, ledger and the group's reports consistently: grading again still tells."""
    place, frozen = places(group)[0], load_group(group)
    document = json.loads(place.report.read_text())
    document["competition_report"]["score"] = 0.5
    place.report.write_text(json.dumps(document))
    place.transcript.unlink()
    keep_ledger(place, group, frozen, registry)
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    assert verify_group(group, registry, grade=False).holds
    (line,) = found(verify_group(group, registry))
    assert re.search(r"report.json: its score is 0\.5, graded again it is \d+\.\d+", line)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda place: place.ledger.unlink(), "ledger.jsonl: it is missing, though report.json names"),
        (cut_last_line, "ledger.jsonl: it has no entry on report.json; its end is missing"),
        (lambda place: place.ledger.write_bytes(b""), "ledger.jsonl: it is empty"),
        (lambda place: place.submission.unlink(), "submission/submission.csv: it is not what the run handed in"),
        (lambda place: shutil.rmtree(place.code), "code: it is missing"),
        (lambda place: (place.code / "more.py").write_text(""), "code: it is not what the run left"),
        (lambda place: place.transcript.unlink(), "transcript.jsonl: line 1 is missing"),
        (lambda place: place.report.unlink(), "report.json: it is missing, though line"),
        (lambda place: place.run.unlink(), "run.json: it is missing"),
        (lambda place: place.run.write_text("{"), "run.json: a run's state is expected"),
        (lambda place: rewrite(place.run, attempt=2), "report.json: it does not say what run.json says: attempt"),
        (lambda place: (place.snapshots / "0000001.csv").unlink(), "snapshots/0000001.csv: it is not what line"),
        (lambda place: place.usage.write_text("{}"), "usage.json: it is not what the run left"),
    ],
)
def test_harm_to_a_run_is_told_in_a_line(group, registry, harm, told):
    harm(places(group)[0])
    lines = found(verify_group(group, registry, grade=False))
    assert any(told in line for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_another_runs_ledger_is_found(group, registry):
    first, _, third, _ = places(group)
    for name in ("ledger", "report", "run"):
        shutil.copy(getattr(third, name), getattr(first, name))
    lines = found(verify_group(group, registry, grade=False))
    assert any("ledger.jsonl: line 1: it is that of another run" in line for line in lines), lines


def test_a_run_that_was_taken_away_is_found_by_the_groups_report(group, registry):
    shutil.rmtree(places(group)[3].root)
    report = verify_group(group, registry, grade=False)
    assert (report.asked, report.there, len(report.missing)) == (4, 3, 1)
    assert any(line.startswith("report.json: it is not what the runs make") for line in found(report))


def test_other_answers_are_told(group, registry, data_dir, tmp_path):
    copy = Path(shutil.copytree(data_dir, tmp_path / "data"))
    (answers,) = copy.glob("*/prepared/private/answers.csv")
    lines = answers.read_text().splitlines(keepends=True)
    answers.write_text("".join([*lines[:-1], re.sub(r"[0-9.]+$", "1", lines[-1].rstrip()) + "\n"]))
    (line,) = found(verify_group(group, registry, copy))
    assert "answers.csv changed since it was prepared" in line
    manifest = copy / DIABETES / "prepared.json"  # and where that was covered up
    document = json.loads(manifest.read_text())
    facts = file_facts(answers)
    document["files"]["private/answers.csv"] = facts
    manifest.write_text(json.dumps(document))
    told = found(verify_group(group, registry, copy))
    assert f"{DIABETES}: the data in {copy} is not the data that the group began with" in told
    assert any(f"the answers of {DIABETES} are not those that it was graded with" in line for line in told)
    assert any("report.json: its score is" in line for line in told)
