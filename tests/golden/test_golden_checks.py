"""The submission checker tells nothing of the answers, on every golden and sample competition.

The data that submissions are checked against must come out the same, byte for byte, when all values of the answers
change places and the answers' rows stand in another order: whatever a grader says then, it cannot tell of them. And
what it says must be what validation against the true answers says, but for what only the answers decide.
"""

import json
import random
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from mleb_core.grading.blind import blind, check_format
from mleb_core.grading.grade import validate_submission
from mleb_core.grading.options import split_options
from mleb_core.layout import CompetitionData
from mleb_core.prepare import prepare
from mleb_core.registry import Registry

from .test_golden import CASES, SHARED

SAMPLES = ("breast-mass-diagnosis", "diabetes-progression", "diamond-clarity", "flight-arrival-delay")
SAMPLES += ("handwritten-digits", "king-james-verses", "laguardia-weather", "titanic-survival")

STRICTER = {
    "h-and-m-personalized-fashion-recommendations": {"only_scored_customers", "unknown_customers_added"},
    "jigsaw-toxic-comment-classification-challenge": {"unscored_row_nan"},
    "osic-pulmonary-fibrosis-progression": {
        "bad_one_row_short",
        "fvc_missing_in_ungraded_week",
        "only_graded_weeks",
    },
    "stanford-covid-vaccine": {"unscored_positions_missing"},
    "ventilator-pressure-prediction": {"unscored_rows_nan"},
}
"""Submissions that are graded although the checker refuses them: only the answers say that those rows do not count."""

OTHER_WORDS = {
    "freesound-audio-tagging-2019",
    "h-and-m-personalized-fashion-recommendations",
    "multi-modal-gesture-recognition",
    "osic-pulmonary-fibrosis-progression",
    "ventilator-pressure-prediction",
}
"""Where a refusal names another row first, or another number of rows: by the sample submission, not by the answers."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry()


def scramble(path: Path, keep: set[str]) -> None:
    """Let all values of the answers change places, and the rows, too; ids stay as they are."""
    chance = random.Random(1)
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        notes = [row["annotations"] for row in rows]
        chance.shuffle(notes)
        rows = [{**row, "annotations": note} for row, note in zip(rows, notes, strict=True)]
        chance.shuffle(rows)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    for name in table.columns:
        if name not in keep:
            values = table[name].tolist()
            chance.shuffle(values)
            table[name] = values if len(values) > 1 else [values[0] + values[0]]
    table.sample(frac=1, random_state=1).to_csv(path, index=False)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


@pytest.mark.parametrize("id", [*CASES, *SAMPLES])
def test_checks_tell_nothing_of_the_answers(id, registry, tmp_path):
    competition = registry.competition(id)
    case = SHARED / "golden" / id
    raw = None
    if id in CASES:
        raw = tmp_path / "raw"
        with zipfile.ZipFile(case / "raw.zip") as archive:
            archive.extractall(raw)
    data = prepare(competition, tmp_path / "data", raw_dir=raw, verify=False)
    grading = competition.spec.grading
    grader = registry.grader(grading.grader)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    blind(competition, tmp_path / "data", first, registry)

    own, _ = split_options(grading.options)
    reading = [names for keyword, names in own.extras.items() if keyword in getattr(grader, "reading", ())]
    facts = {name for names in reading for name in ([names] if isinstance(names, str) else names)}
    other = CompetitionData.of(tmp_path / "other", id)
    shutil.copytree(data.prepared, other.prepared)
    other.manifest.write_text("{}")
    scramble(other.private / grading.answers, {*grading.id, *facts})
    assert (other.private / grading.answers).read_bytes() != (data.private / grading.answers).read_bytes()
    blind(competition, tmp_path / "other", second, registry)
    assert files_in(first) == files_in(second)

    submissions = sorted((case / "submissions").iterdir()) if id in CASES else [data.public / grading.sample]
    stricter = set()
    for submission in submissions:
        true = validate_submission(submission, competition, tmp_path / "data", registry)
        grade = check_format(submission, competition, first, registry)
        assert grade.grader_error is None, submission.name
        assert not (grade.valid and not true.valid), f"{submission.name}: {true.reason}"
        if true.valid and not grade.valid:
            stricter.add(submission.stem)
        elif id not in OTHER_WORDS:
            assert grade.reason == true.reason, submission.name
    assert stricter == STRICTER.get(id, set())
