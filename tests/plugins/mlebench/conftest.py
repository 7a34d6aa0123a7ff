"""What tests of the pack share: a competition prepared from its golden raw data."""

import zipfile

import pandas as pd
import pytest

from mleb_core.grading.grade import grade_submission
from mleb_core.prepare import prepare
from mleb_core.registry import Registry


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture
def made(shared, registry, tmp_path):
    """Prepares a competition from golden raw data, which `change(raw)` changes; gives data and what grades a table."""

    def make(id, edition=2, change=lambda raw: None):
        competition = registry.competition(id).in_edition(edition)
        raw = tmp_path / "raw" / id
        if not raw.is_dir():
            with zipfile.ZipFile(shared / "golden" / id / "raw.zip") as archive:
                archive.extractall(raw)
            change(raw)
        data = prepare(competition, tmp_path / "data", raw_dir=raw, verify=False)

        def grade(table):
            path = tmp_path / "submission.csv"
            table.to_csv(path, index=False)
            result = grade_submission(path, competition, tmp_path / "data", registry)
            assert result.grader_error is None
            return result

        sample = pd.read_csv(data.public / competition.spec.grading.sample, dtype=str, keep_default_na=False)
        if edition > 1:  # some published samples are refused
            assert grade(sample).valid
        return data, grade

    return make
