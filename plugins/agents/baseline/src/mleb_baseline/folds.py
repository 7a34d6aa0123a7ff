"""How train rows are held out to judge models: as test rows differ from train rows."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit, train_test_split

from mleb_baseline.features import Features
from mleb_baseline.task import Target

__all__ = ["make_folds"]

Fold = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def make_folds(
    target: Target, truth: npt.NDArray[Any], known: npt.NDArray[np.int64], features: Features, seed: int
) -> list[Fold]:
    """(fit rows, held-out rows), as places among the rows with a known target.

    By group where test has other groups, forward in time where test is later, else at random (classes in equal
    shares). 10 folds below 600 rows, 5 up to 20,000, 3 up to 100,000; beyond that a fifth is held out once.
    """
    rows = np.arange(len(known))
    count = 10 if len(rows) < 600 else 5 if len(rows) <= 20_000 else 3
    count = max(2, min(count, len(rows) // 2))
    if features.groups is not None:
        groups = features.groups[known]
        if len(np.unique(groups)) >= 3:
            splits = GroupKFold(min(count, len(np.unique(groups)))).split(rows, groups=groups)
            return [(fit, valid) for fit, valid in splits]
    if features.order is not None and len(rows) >= 50:
        place = np.empty(features.rows, dtype=np.int64)
        place[features.order] = np.arange(features.rows)
        order = np.argsort(place[known], kind="stable")
        return [(order[fit], order[valid]) for fit, valid in TimeSeriesSplit(4).split(rows)]
    classes = truth if target.kind != "number" else None
    if len(rows) > 100_000:
        fit, valid = train_test_split(rows, test_size=0.2, random_state=seed)
        return [(np.sort(fit), np.sort(valid))]
    if classes is not None and len(np.unique(classes)) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a class with fewer rows than folds
            if np.bincount(classes).max() >= count:
                return list(StratifiedKFold(count, shuffle=True, random_state=seed).split(rows, classes))
    return list(KFold(count, shuffle=True, random_state=seed).split(rows))
