"""The ladder of models, from quick and simple to slow and strong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNetCV, LogisticRegression, RidgeCV
from sklearn.naive_bayes import ComplementNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, TargetEncoder
from sklearn.svm import SVC, SVR, LinearSVC

from mleb_baseline.features import Features

__all__ = ["Candidate", "class_ladder", "number_ladder"]


@dataclass(frozen=True)
class Candidate:
    """A model to try."""

    name: str
    """Name for people."""
    family: str
    """One of settings.ModelFamily."""
    view: str
    """The view of the features that it learns from."""
    make: Callable[[], Any]
    """A new estimator, to be fitted."""
    max_rows: int = 1_000_000
    """It learns from at most so many rows; more are thinned out."""
    expects: str = "number"
    """ "class": predicts probabilities; "number": predicts numbers."""


def class_ladder(features: Features, classes: int, seed: int, jobs: int) -> list[Candidate]:
    """Classifiers, in the order they are tried."""
    forest = {"n_jobs": jobs, "random_state": seed}
    quick = features.tree.shape[1] * classes > 600
    steps = 60 if quick else 150

    def tree(model: Any) -> Any:
        return _tree(model, features, seed, "multiclass" if classes > 2 else "binary")

    def svc(cost: float) -> Any:
        return CalibratedClassifierCV(SVC(C=cost, random_state=seed, cache_size=500), cv=3, ensemble=False)

    def boosted(**options: Any) -> Any:
        model = HistGradientBoostingClassifier(random_state=seed, **options)
        return _encoded(model, features, seed, "multiclass" if classes > 2 else "binary")

    ladder = [_c("logistic C=1", "linear", "linear", lambda: _logistic(1.0, seed), 200_000)]
    if features.has_text:
        ladder += [
            _c("bayes words", "bayes", "linear", lambda: _bayes(0.3), 1_000_000),
            _c("linear svm", "linear", "linear", lambda: _linear_svc(0.3, seed), 200_000),
            _c("logistic C=10", "linear", "linear", lambda: _logistic(10.0, seed), 50_000),
        ]
    ladder += [
        _c(
            "extra trees",
            "forest",
            "tree",
            lambda: tree(ExtraTreesClassifier(250, min_samples_leaf=2, **forest)),
            100_000,
        ),
        _c("boosting", "boosting", "tree", lambda: boosted(max_iter=steps, learning_rate=0.06, max_leaf_nodes=15)),
        _c("svm C=1", "svm", "compact", lambda: svc(1.0), 6_000),
        _c("svm C=10", "svm", "compact", lambda: svc(10.0), 6_000),
        _c("neighbours", "neighbours", "compact", lambda: KNeighborsClassifier(9, weights="distance"), 50_000),
        _c(
            "random forest",
            "forest",
            "tree",
            lambda: tree(RandomForestClassifier(250, min_samples_leaf=2, **forest)),
            100_000,
        ),
        _c("logistic C=0.1", "linear", "linear", lambda: _logistic(0.1, seed), 200_000),
        _c(
            "discriminant",
            "linear",
            "compact",
            lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
            200_000,
        ),
        _c(
            "network",
            "network",
            "compact",
            lambda: MLPClassifier(
                hidden_layer_sizes=(64,), alpha=1e-1, max_iter=80, early_stopping=False, random_state=seed
            ),
            20_000,
        ),
        _c(
            "network 2",
            "network",
            "compact",
            lambda: MLPClassifier(hidden_layer_sizes=(128, 32), alpha=1.0, max_iter=60, random_state=seed + 1),
            20_000,
        ),
        _c(
            "gentle boosting",
            "boosting",
            "tree",
            lambda: boosted(
                max_iter=2 * steps, learning_rate=0.03, max_leaf_nodes=7, l2_regularization=3.0, min_samples_leaf=10
            ),
        ),
        _c("naive bayes", "bayes", "compact", GaussianNB, 1_000_000),
        _c(
            "wide extra trees",
            "forest",
            "tree",
            lambda: tree(ExtraTreesClassifier(250, max_features=0.6, min_samples_leaf=2, **forest)),
            30_000,
        ),
        _c(
            "deep boosting",
            "boosting",
            "tree",
            lambda: boosted(max_iter=3 * steps, learning_rate=0.03, max_leaf_nodes=31, l2_regularization=1.0),
        ),
    ]
    if features.rows <= 700:
        kernel = ConstantKernel(1.0) * RBF(3.0)
        ladder.append(
            _c(
                "gaussian process",
                "process",
                "compact",
                lambda: GaussianProcessClassifier(kernel, random_state=seed),
                500,
            )
        )
    return [c for c in ladder if not (c.view == "compact" and not features.compact.shape[1])]


def number_ladder(features: Features, metric: str, seed: int, jobs: int) -> list[Candidate]:
    """Regressors, in the order they are tried. They learn a target of mean 0 and spread 1."""
    forest = {"n_jobs": jobs, "random_state": seed}
    absolute = metric in ("mae", "mape", "smape")

    def tree(model: Any) -> Any:
        return _tree(model, features, seed, "continuous")

    def boosted(**options: Any) -> Any:
        criterion = "absolute_error" if absolute else "squared_error"
        model = HistGradientBoostingRegressor(loss=criterion, random_state=seed, **options)
        return _encoded(model, features, seed, "continuous")

    epsilon = 0.01 if absolute else 0.1
    ladder = [
        _n(
            "ridge",
            "linear",
            "linear",
            lambda: (
                RidgeCV((0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0))
                if not features.has_text
                else RidgeCV((1.0, 5.0), cv=3)
            ),
            200_000,
        ),
        _n(
            "extra trees",
            "forest",
            "tree",
            lambda: tree(ExtraTreesRegressor(200, min_samples_leaf=2, max_features=0.6, **forest)),
            50_000,
        ),
        _n("boosting", "boosting", "tree", lambda: boosted(max_iter=200, learning_rate=0.06, max_leaf_nodes=15)),
        _n("svm C=1", "svm", "compact", lambda: SVR(C=1.0, epsilon=epsilon, cache_size=500), 6_000),
        _n("svm C=10", "svm", "compact", lambda: SVR(C=10.0, epsilon=epsilon, gamma="auto", cache_size=500), 5_000),
        _n(
            "elastic net",
            "linear",
            "compact",
            lambda: ElasticNetCV(l1_ratio=(0.3, 0.7, 0.95, 1.0), alphas=30, cv=5, max_iter=3000, random_state=seed),
            50_000,
        ),
        _n(
            "gentle boosting",
            "boosting",
            "tree",
            lambda: boosted(
                max_iter=300, learning_rate=0.03, max_leaf_nodes=7, l2_regularization=3.0, min_samples_leaf=10
            ),
        ),
        _n("neighbours", "neighbours", "compact", lambda: KNeighborsRegressor(12, weights="distance"), 50_000),
        _n(
            "random forest",
            "forest",
            "tree",
            lambda: tree(RandomForestRegressor(200, min_samples_leaf=3, max_features=0.4, **forest)),
            50_000,
        ),
        _n(
            "network",
            "network",
            "compact",
            lambda: MLPRegressor(
                hidden_layer_sizes=(64, 32), alpha=1.0, max_iter=60, early_stopping=True, random_state=seed
            ),
            50_000,
        ),
        _n(
            "deep boosting",
            "boosting",
            "tree",
            lambda: boosted(
                max_iter=500, learning_rate=0.03, max_leaf_nodes=31, l2_regularization=1.0, min_samples_leaf=15
            ),
        ),
        _n(
            "network 2",
            "network",
            "compact",
            lambda: MLPRegressor(hidden_layer_sizes=(100,), alpha=3.0, max_iter=100, random_state=seed + 1),
            20_000,
        ),
    ]
    if features.rows <= 1500:
        kernel = ConstantKernel(1.0) * RBF(5.0) + WhiteKernel(0.5)
        ladder.insert(
            6,
            _n(
                "gaussian process",
                "process",
                "compact",
                lambda: GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed),
                800,
            ),
        )
    return [c for c in ladder if not (c.view == "compact" and not features.compact.shape[1])]


def _c(name: str, family: str, view: str, make: Callable[[], Any], max_rows: int = 1_000_000) -> Candidate:
    return Candidate(name, family, view, make, max_rows, "class")


def _n(name: str, family: str, view: str, make: Callable[[], Any], max_rows: int = 1_000_000) -> Candidate:
    return Candidate(name, family, view, make, max_rows, "number")


def _logistic(cost: float, seed: int) -> Any:
    return LogisticRegression(C=cost, max_iter=400, tol=1e-3, random_state=seed)


def _linear_svc(cost: float, seed: int) -> Any:
    return CalibratedClassifierCV(LinearSVC(C=cost, tol=1e-2, random_state=seed), cv=3, ensemble=False)


def _bayes(alpha: float) -> Any:
    return CalibratedClassifierCV(
        make_pipeline(FunctionTransformer(abs, accept_sparse=True), ComplementNB(alpha=alpha)), cv=3, ensemble=False
    )


def _encoded(model: Any, features: Features, seed: int, target: str) -> Any:
    """Many-valued categories replaced by the mean target of each, learned within the fold."""
    if not features.codes:
        return model
    encoder = TargetEncoder(target_type=target, random_state=seed)
    return make_pipeline(ColumnTransformer([("mean", encoder, features.codes)], remainder="passthrough"), model)


def _tree(model: Any, features: Features, seed: int, target: str) -> Any:
    return _encoded(
        make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), model), features, seed, target
    )
