"""Unintended bias on test sets of other sizes than the golden case's."""

import pandas as pd
import pytest

from mleb_core.errors import InvalidSubmissionError
from mleb_core.grading.protocol import GradingTask
from mleb_core.registry import Registry


@pytest.mark.parametrize("n", [26, 38, 40, 400])
def test_two_gaps_are_an_accident_whatever_the_size(tmp_path, n):
    registry = Registry()
    competition = registry.competition("jigsaw-unintended-bias-in-toxicity-classification")
    grading = competition.spec.grading
    answers = pd.DataFrame({"id": range(n), "toxicity": [0.1, 0.8] * (n // 2)})
    for group in grading.options["extras"]["subgroups"]:
        answers[group] = [0.5 if row % 4 < 2 else None for row in range(n)]
    answers.to_csv(tmp_path / "test.csv", index=False)
    task = GradingTask(competition.id, 1, grading, tmp_path, tmp_path)
    grader = registry.graders[grading.grader]

    def grade(gaps):
        table = answers[["id"]].assign(prediction=[0.0, 1.0] * (n // 2))
        table.loc[gaps, "prediction"] = None
        table.to_csv(tmp_path / "submission.csv", index=False)
        return grader.grade(tmp_path / "submission.csv", task)

    assert grade([]) == 1
    with pytest.raises(InvalidSubmissionError, match=r"row 1 \(id 0\), column 'prediction': the cell is empty"):
        grade([0, 3])
    assert grade([row for row in range(0, n, 2) if row % 12 < 2]) == 1  # many gaps, all where not toxic
