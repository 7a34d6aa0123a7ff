"""The reference models: name to estimator, seeded, one core each."""

from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import HuberRegressor, Lasso, LogisticRegression, Ridge, RidgeClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

__all__ = ["classifiers", "regressors", "text_classifiers"]

Models = Mapping[str, BaseEstimator]
SEED: dict[str, Any] = {"random_state": 0}


def classifiers(*, probabilities: bool) -> Models:
    """Classifiers of dense, scaled features.

    Args:
        probabilities: leave out models without `predict_proba`, and calibrate support vector machines.
    """
    svm = {f"svm C={c:g}": SVC(C=c, **SEED) for c in (0.1, 1, 10)}
    models: dict[str, BaseEstimator] = {
        "dummy": DummyClassifier(strategy="prior"),
        "naive bayes": GaussianNB(),
        "discriminant": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        **{f"logistic C={c:g}": LogisticRegression(C=c, max_iter=500, **SEED) for c in (0.001, 0.01, 0.1, 1, 10)},
        **{f"neighbours k={k}": KNeighborsClassifier(k) for k in (1, 5, 15, 50)},
        **{f"tree depth={d}": DecisionTreeClassifier(max_depth=d, **SEED) for d in (1, 2, 4, 8)},
        **{f"forest depth={d}": RandomForestClassifier(100, max_depth=d, **SEED) for d in (3, 8)},
        **{f"forest leaf={n}": RandomForestClassifier(150, min_samples_leaf=n, **SEED) for n in (1, 4)},
        "extra trees": ExtraTreesClassifier(200, min_samples_leaf=2, **SEED),
        "adaboost": AdaBoostClassifier(n_estimators=50, **SEED),
        **{f"boosting n={n}": HistGradientBoostingClassifier(max_iter=n, **SEED) for n in (10, 40, 120)},
        "boosting slow": HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.04, max_leaf_nodes=10, l2_regularization=1, **SEED
        ),
        "network": MLPClassifier(hidden_layer_sizes=(64,), max_iter=150, alpha=0.1, **SEED),
    }
    if probabilities:
        return models | {k: CalibratedClassifierCV(m, cv=3, ensemble=False) for k, m in svm.items()}
    return models | svm | {"ridge": RidgeClassifier(**SEED)}


def text_classifiers() -> Models:
    """Classifiers of sparse, non-negative word weights."""
    return {
        "dummy": DummyClassifier(strategy="most_frequent"),
        **{f"bayes a={a:g}": MultinomialNB(alpha=a) for a in (0.03, 0.3, 1, 3)},
        **{f"complement bayes a={a:g}": ComplementNB(alpha=a) for a in (0.1, 0.5, 1)},
        **{f"bernoulli bayes a={a:g}": BernoulliNB(alpha=a) for a in (0.03, 0.3)},
        **{f"logistic C={c:g}": LogisticRegression(C=c, max_iter=300, **SEED) for c in (0.03, 0.3, 3, 30)},
        **{f"linear svm C={c:g}": LinearSVC(C=c, **SEED) for c in (0.01, 0.1, 1)},
        **{f"ridge a={a:g}": RidgeClassifier(alpha=a, solver="sparse_cg", **SEED) for a in (0.3, 3)},
        **{f"neighbours k={k}": KNeighborsClassifier(k, metric="cosine", weights="distance") for k in (3, 20)},
        **{f"tree depth={d}": DecisionTreeClassifier(max_depth=d, **SEED) for d in (4, 12)},
        "forest": RandomForestClassifier(60, min_samples_leaf=3, **SEED),
        "extra trees": ExtraTreesClassifier(60, min_samples_leaf=2, **SEED),
    }


def regressors(*, targets: int = 1, absolute: bool = False) -> Models:
    """Regressors of dense, scaled features.

    Args:
        targets: number of columns to predict; models of one column are repeated for each.
        absolute: prefer the median over the mean where a model can.
    """
    loss = "absolute_error" if absolute else "squared_error"
    one_column: dict[str, BaseEstimator] = {
        "huber": HuberRegressor(max_iter=500),
        **{f"svm C={c:g}": SVR(C=c) for c in (1, 10, 100)},
        **{f"boosting n={n}": HistGradientBoostingRegressor(loss=loss, max_iter=n, **SEED) for n in (10, 40, 120)},
        "boosting slow": HistGradientBoostingRegressor(
            loss=loss, max_iter=150, learning_rate=0.04, max_leaf_nodes=8, l2_regularization=1, **SEED
        ),
        "boosting squared": HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=6, **SEED),
    }
    if targets > 1:
        one_column = {name: MultiOutputRegressor(model) for name, model in one_column.items()}
    return one_column | {
        "dummy": DummyRegressor(strategy="median" if absolute else "mean"),
        **{f"ridge a={a:g}": Ridge(a, **SEED) for a in (0.1, 10, 100, 1000)},
        **{f"lasso a={a:g}": Lasso(a, **SEED) for a in (0.05, 0.5, 3)},
        **{f"neighbours k={k}": KNeighborsRegressor(k) for k in (1, 5, 15, 50)},
        **{f"tree depth={d}": DecisionTreeRegressor(max_depth=d, **SEED) for d in (1, 3, 6, 10)},
        **{f"forest depth={d}": RandomForestRegressor(80, max_depth=d, **SEED) for d in (3, 7)},
        "forest leaf=3": RandomForestRegressor(100, min_samples_leaf=3, max_features=0.5, **SEED),
        "extra trees": ExtraTreesRegressor(100, min_samples_leaf=3, **SEED),
        "network": MLPRegressor(hidden_layer_sizes=(50,), max_iter=300, alpha=1, **SEED),
    }
