"""Train the reference models of a task and have their submissions scored."""

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_regressor

from mleb_samples.reference.tasks import Task

__all__ = ["PARTS", "board", "submission"]

PARTS = (0.3, 0.1)
"""Shares of the train rows on which each model is trained besides all of them, on the family's first view;
at least 60 rows."""

Row = tuple[float, str]


def board(task: Task, public: Path, sample: Path, grade: Callable[[pd.DataFrame], float]) -> Iterator[Row]:
    """Score and name of each model, as they come.

    Args:
        task: what is predicted, and from what.
        public: the competition's public directory with train.csv and test.csv.
        sample: the sample submission.
        grade: gives a submission's score.
    """
    train, test = pd.read_csv(public / "train.csv"), pd.read_csv(public / "test.csv")
    columns = list(pd.read_csv(sample, nrows=0))
    truth = train[task.targets[0] if len(task.targets) == 1 else list(task.targets)].to_numpy()
    # Rows are in a random order already, so the first ones are a fair sample.
    for models, views in task.families:
        for position, (view_name, view) in enumerate(views.items()):
            first, second = view(train.drop(columns=list(task.targets)), test, public)
            for share in (1.0, *PARTS) if position == 0 else (1.0,):
                rows = max(60, round(len(train) * share))
                for name, model in models.items():
                    label = f"{name}, {view_name}" + (f", {rows} rows" if share < 1 else "")
                    if share < 1 and "dummy" in name:
                        continue
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # weak models are meant to stop early
                        fitted = clone(model).fit(first[:rows], truth[:rows])
                        guess = submission(task, fitted, second, truth)
                    frame = pd.DataFrame(dict(zip(columns, [test["id"], *guess.T], strict=True)))
                    yield round(grade(frame), 5), label


def submission(task: Task, fitted: BaseEstimator, features: Any, truth: np.ndarray) -> np.ndarray:
    """Predictions as an array of shape (rows, submission columns but the id)."""
    model: Any = fitted
    if task.output == "probabilities":
        classes = sorted(set(np.ravel(truth)))
        result = np.zeros((features.shape[0], len(classes)))
        result[:, [classes.index(c) for c in model.classes_]] = model.predict_proba(features)
        return result
    if task.output == "score":
        return np.asarray(model.predict_proba(features)[:, [1]])
    predicted = np.asarray(model.predict(features)).reshape(features.shape[0], -1)
    if task.output == "grade" and is_regressor(fitted):
        return np.clip(np.round(predicted), np.min(truth), np.max(truth)).astype(int)
    return predicted
