"""Graders of single competitions: rows that may be repeated, weeks that count."""

import numpy as np
import pandas as pd
import pytest

from mleb_core.competition_spec import Grading
from mleb_core.errors import InvalidSubmissionError
from mleb_core.grading.protocol import GradingTask
from mleb_mlebench.graders import molecules, visits


@pytest.fixture
def grade(tmp_path):
    def grade(grader, submission, answers, **grading):
        task = GradingTask("tiny", 1, Grading(grader=grader.id, **grading), tmp_path, tmp_path)
        answers.to_csv(task.answers, index=False)
        path = tmp_path / "submission.csv"
        submission.to_csv(path, index=False)
        return grader.grade(path, task)

    return grade


MOLECULES = pd.DataFrame({"id": [5, 7, 9, 11], "y": [1.0, 2.0, 3.0, 4.0], "type": ["a", "b", "a", "b"]})
BY_TYPE = {"columns": {"y": {}}, "options": {"extras": {"groups": "type"}}}


def log_mae(rows):
    """The definition, row by row: rows are (type, error)."""
    errors = {}
    for kind, error in rows:
        errors.setdefault(kind, []).append(abs(error))
    return np.mean([np.log(np.mean(values)) for values in errors.values()])


def test_rows_repeated_alike_weigh_as_often_as_they_stand(grade):
    (grader,) = molecules.GRADERS
    once = pd.DataFrame({"id": [11, 5, 7, 9], "y": [4.5, 1.1, 2.2, 3.9]})
    assert grade(grader, once, MOLECULES, **BY_TYPE) == pytest.approx(
        log_mae([("b", 0.5), ("a", 0.1), ("b", 0.2), ("a", 0.9)])
    )
    twice = pd.concat([once, once.iloc[[1, 0, 1]]])
    assert grade(grader, twice, MOLECULES, **BY_TYPE) == pytest.approx(
        log_mae([("b", 0.5), ("a", 0.1), ("b", 0.2), ("a", 0.9), ("a", 0.1), ("b", 0.5), ("a", 0.1)])
    )


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        ([5, 7, 9, 11, 7], [1, 2, 3, 4, 2.1], r"row 5 \(id 7\), column 'y': the id stands there already with another"),
        ([5, 7, 9, 7], [1, 2, 3, 2], "1 id is missing"),
        ([5, 7, 9, 11, 8, 8], [1, 2, 3, 4, 0, 0], "the id is unknown"),
        ([5, 7, 9, 11, 7], [1, np.nan, 3, 4, np.nan], "the cell is empty"),
    ],
)
def test_what_repeated_rows_may_not_be(grade, ids, values, message):
    (grader,) = molecules.GRADERS
    with pytest.raises(InvalidSubmissionError, match=message) as caught:
        grade(grader, pd.DataFrame({"id": ids, "y": values}), MOLECULES, **BY_TYPE)
    assert "\n" not in str(caught.value)


VISITS = pd.DataFrame(
    {
        "Patient": ["p"] * 6 + ["q"] * 3,
        "Weeks": [-1, 0, 3, 10, 2, 11, 0, 1, 2],
        "FVC": [2000.0, 2100.0, 2200.0, 2300.0, 2400.0, np.nan, np.nan, 1500.0, np.nan],
        "Confidence": 100,
    }
)
VISITS["Patient_Week"] = VISITS["Patient"] + "_" + VISITS["Weeks"].astype(str)
SCORED = ["p_2", "p_3", "p_10", "q_1"]  # the last three measured weeks, by number and not by text; q has one
BY_WEEK = {
    "id": ("Patient_Week",),
    "columns": {"FVC": {}, "Confidence": {"missing": True}},
    "options": {"unscored": "gaps", "unscored_rows": "optional"},
}


def test_the_last_measured_weeks_of_each_patient_count(grade):
    (grader,) = visits.GRADERS
    random = np.random.default_rng(1)
    rows = VISITS[["Patient_Week"]].assign(FVC=random.normal(2200, 600, 9), Confidence=random.normal(120, 90, 9))
    rows.loc[rows["Patient_Week"] == "p_3", "Confidence"] = np.nan
    truth = VISITS.set_index("Patient_Week")["FVC"]
    parts = []
    for name, value, sigma in rows[rows["Patient_Week"].isin(SCORED)].itertuples(index=False):
        sigma = 70 if np.isnan(sigma) else max(sigma, 70)
        parts.append(-np.sqrt(2) * min(abs(truth[name] - value), 1000) / sigma - np.log(np.sqrt(2) * sigma))
    assert len(parts) == 4
    assert grade(grader, rows, VISITS, **BY_WEEK) == pytest.approx(np.mean(parts))
    assert grade(grader, rows.sample(frac=1, random_state=0), VISITS, **BY_WEEK) == pytest.approx(np.mean(parts))
    few = rows[rows["Patient_Week"].isin(SCORED)]
    assert grade(grader, few, VISITS, **BY_WEEK) == pytest.approx(np.mean(parts))
    rows.loc[~rows["Patient_Week"].isin(SCORED), "FVC"] = np.nan
    assert grade(grader, rows, VISITS, **BY_WEEK) == pytest.approx(np.mean(parts))


@pytest.mark.parametrize("lost", SCORED)
def test_no_scored_week_may_be_left_out_or_empty(grade, lost):
    (grader,) = visits.GRADERS
    rows = VISITS[["Patient_Week"]].assign(FVC=2000.0, Confidence=100)
    with pytest.raises(InvalidSubmissionError, match="1 id is missing"):
        grade(grader, rows[rows["Patient_Week"] != lost], VISITS, **BY_WEEK)
    with pytest.raises(InvalidSubmissionError, match=f"Patient_Week '{lost}'.*column 'FVC': the cell is empty"):
        grade(grader, rows.assign(FVC=rows["FVC"].where(rows["Patient_Week"] != lost)), VISITS, **BY_WEEK)
