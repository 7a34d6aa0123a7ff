"""What holds for each of the 82 competitions: files, facts, known issues, splits."""

import json
import re

import pytest

from mleb_core.planning import check_competition
from mleb_core.registry import Registry

REGISTRY = Registry()
PACK = {id: competition for id, competition in REGISTRY.competitions.items() if "samples" not in competition.splits}
SECTIONS = ["Background", "Task", "Files", "Metric", "Submission"]


@pytest.fixture(scope="module")
def facts(shared):
    return {fact["id"]: fact for fact in json.loads((shared / "facts/competitions.json").read_text())}


def test_splits_have_the_published_sizes(facts):
    assert set(PACK) == set(facts)
    sizes = {name: len(REGISTRY.split(name)) for name in ("low", "lite", "medium", "high", "all", "split75", "dev")}
    assert sizes == {"low": 22, "lite": 22, "medium": 38, "high": 15, "all": 75, "split75": 75, "dev": 7}


@pytest.mark.parametrize("id", PACK)
def test_every_edition_validates_and_agrees_with_its_grader(id):
    for edition in PACK[id].editions:
        check_competition(PACK[id].in_edition(edition) if edition != 1 else PACK[id], REGISTRY)


@pytest.mark.parametrize("id", PACK)
def test_facts_stand_in_the_file(id, facts):
    spec, fact = PACK[id].spec, facts[id]
    board = spec.leaderboard
    assert board.kind == "humans"
    assert board.higher_is_better is not fact["is_lower_better"]
    for name in ("teams", "gold", "silver", "bronze", "median", "top"):
        assert getattr(board, name) == fact[name], name
    assert spec.complexity == fact["complexity"]
    assert spec.source.kind == "kaggle"
    assert (spec.source.slug or id) == fact["kaggle_slug"]
    published = fact["checksums_md5"]
    assert spec.checksums.zip == published.get("zip")
    for part in ("public", "private"):
        ours, theirs = getattr(spec.checksums, part), published.get(part, {})
        assert ours.items() <= theirs.items()
        # What cannot come out equal (archives with times, parquet) is kept as a fact.
        assert all(md5 in (PACK[id].folder / "competition.toml").read_text() for md5 in theirs.values())


@pytest.mark.parametrize("id", PACK)
def test_descriptions_have_their_sections(id):
    text = PACK[id].description
    assert re.findall(r"^# (.*)$", text, re.MULTILINE)[0] == PACK[id].title
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert 20 <= len(text.splitlines()) <= 120
    submission = text.partition("## Submission")[2]
    assert re.search(r"^(    |```)", submission, re.MULTILINE), "no example row"


def test_reported_faults_are_known_issues(shared):
    reported = json.loads((shared / "facts/known_issues.json").read_text())["competitions"]
    for id, faults in reported.items():
        issues = {issue.issue for issue in PACK[id].spec.known_issues}
        for fault in faults:
            if fault["issue"].startswith("#"):
                assert fault["issue"] in issues, f"{id}: {fault}"
            else:
                assert PACK[id].spec.known_issues, f"{id}: {fault}"


@pytest.mark.parametrize("id", PACK)
def test_an_edition_repairs_something_and_a_repair_has_its_edition(id):
    repaired = {issue.repaired_in for issue in PACK[id].spec.known_issues} - {None}
    assert repaired == set(PACK[id].editions) - {1}


def test_every_grader_says_in_a_line_what_its_score_is():
    for id in {PACK[id].spec.grading.grader for id in PACK}:
        summary = REGISTRY.grader(id).summary
        assert summary
        assert "\n" not in summary
