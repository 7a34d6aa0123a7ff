"""The steps of a run's end, cut off and taken up again; and the digests that its ledger gets."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest
from verify_groups import DIABETES, close, found, places

from mleb_core.ledger import Ledger, check_chain, read_ledger
from mleb_core.ledger_facts import (
    end_details,
    file_facts,
    gateway_details,
    record_exchanges,
)
from mleb_core.report.build import group_report
from mleb_core.report.collect import collect_group, load_group, write_group_reports
from mleb_core.report.load import load_run_report
from mleb_core.run import Run
from mleb_core.verify import verify_group


@pytest.fixture
def one(group, registry):
    """A run with its parts, and `again()`, which carries it to its end as often as one likes."""
    place, frozen = places(group)[0], load_group(group)
    run = Run.model_validate_json(place.run.read_bytes())
    graded = load_run_report(place.report).competition_report
    competition = registry.competition(DIABETES)

    def again() -> list[str]:
        with Ledger.open(place) as ledger:
            record_exchanges(ledger, place)
            close(ledger, place, run, graded, competition, frozen, registry)
        return [entry.kind for entry in read_ledger(place.ledger)]

    return place, again


BEFORE = ["start", "gateway", "gateway", "snapshot", "check"]


def test_closing_a_closed_run_again_adds_nothing(one):
    place, again = one
    before = place.ledger.read_bytes()
    assert again() == [*BEFORE, "end", "graded", "report"]
    assert place.ledger.read_bytes() == before


@pytest.mark.parametrize("lines", range(1, 9))
@pytest.mark.parametrize("reported", [True, False])
def test_a_run_killed_after_any_entry_is_closed_with_one_result(one, group, registry, lines, reported):
    place, again = one
    kept_lines = place.ledger.read_bytes().splitlines(keepends=True)[:lines]
    place.ledger.write_bytes(b"".join(kept_lines) + (b'{"seq":99' if lines % 2 else b""))
    if not reported:
        place.report.unlink()
    kinds = again()
    for kind in ("end", "graded", "report"):
        assert kinds.count(kind) == 1
    assert kinds[-1] == "report"
    assert kinds.count("gateway") == 2  # what the ledger missed of the transcript is made good
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    told = found(verify_group(group, registry, grade=False))
    # What nothing but the ledger knew is lost with its lines, and what else stands there must fit.
    assert [line for line in told if "snapshots/" not in line] == []


def test_a_run_graded_anew_has_a_new_verdict_and_a_new_report(one, registry, group):
    place, _ = one
    run = Run.model_validate_json(place.run.read_bytes())
    graded = load_run_report(place.report).competition_report
    later = graded.model_copy(update={"created_at": "2099-01-01T00:00:00.000+00:00"})
    with Ledger.open(place) as ledger:
        close(ledger, place, run, later, registry.competition(DIABETES), load_group(group), registry)
    assert [entry.kind for entry in read_ledger(place.ledger)][5:] == ["end", "graded", "report", "graded", "report"]
    write_group_reports(group, group_report(*collect_group(group), directory=group))
    assert found(verify_group(group, registry)) == []


def test_two_scores_of_one_submission_are_found(one, registry, group):
    place, _ = one
    run = Run.model_validate_json(place.run.read_bytes())
    graded = load_run_report(place.report).competition_report
    later = graded.model_copy(update={"created_at": "2099-01-01T00:00:00.000+00:00", "score": graded.score + 1})
    with Ledger.open(place) as ledger:
        close(ledger, place, run, later, registry.competition(DIABETES), load_group(group), registry)
    assert any("two scores of one thing" in line for line in found(verify_group(group, registry, grade=False)))


def test_the_digest_of_a_directory_is_that_of_sha256sum(one):
    place, _ = one
    document = (Path(__file__).parents[3] / "docs/ledger.md").read_text()
    (command,) = re.findall(r"^cd code && (.*)$", document, re.MULTILINE)
    text = subprocess.run(command, shell=True, cwd=place.code, capture_output=True, text=True, check=True).stdout
    assert text.split()[0] == file_facts(place.code)["sha256"]
    assert file_facts(place.code)["files"] == 2


def test_links_and_pipes_are_digested_without_being_opened(tmp_path):
    (tmp_path / "tree").mkdir()
    os.mkfifo(tmp_path / "tree/pipe")
    (tmp_path / "tree/link").symlink_to("/dev/zero")
    line = b"-" * 64 + b"  link\n" + b"-" * 64 + b"  pipe\n"
    assert file_facts(tmp_path / "tree") == {"sha256": hashlib.sha256(line).hexdigest(), "bytes": 0, "files": 2}


def test_details_of_an_exchange_are_those_of_its_line(one):
    place, _ = one
    first = next(entry for entry in read_ledger(place.ledger) if entry.kind == "gateway")
    line = place.transcript.read_bytes().splitlines(keepends=True)[0]
    assert first.details == {
        "number": 1,
        "endpoint": "/chat/completions",
        "model": "m",
        "status": 200,
        "tokens": {"input": 3, "output": 4},
        "estimated": False,
        "sha256": hashlib.sha256(line).hexdigest(),
    }
    assert gateway_details(b"no JSON\n") == {"sha256": hashlib.sha256(b"no JSON\n").hexdigest()}


def test_end_has_digests_of_all_that_is_there(one):
    place, _ = one
    details = end_details(place, Run.model_validate_json(place.run.read_bytes()))
    assert set(details["files"]) == {
        "agent.log",
        "submission",
        "code",
        "logs",
        "snapshots",
        "transcript.jsonl",
        "usage.json",
        "resources.json",
    }
    assert check_chain(place.ledger).problems == []
