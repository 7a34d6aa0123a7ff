"""Registers one grader for each general metric. The metrics themselves load when a submission is graded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from mleb_core import hookimpl

if TYPE_CHECKING:
    from mleb_core.grading.table import TableGrader

HIGHER, LOWER = True, False
NUMBER: Mapping[str, object] = {"type": "number"}
PROBABILITY: Mapping[str, object] = {"type": "number", "min": 0, "max": 1}
LABEL: Mapping[str, object] = {"type": "label"}
BOOLEAN: Mapping[str, object] = {"type": "boolean"}
INTEGER: Mapping[str, object] = {"type": "integer"}
CELL: Mapping[str, object] = {"type": "text", "missing": True}

METRICS: Mapping[str, tuple[tuple[str, bool, Mapping[str, object], str], ...]] = {
    "classification": (
        ("accuracy", HIGHER, LABEL, "share of rows whose label is right"),
        ("balanced-accuracy", HIGHER, LABEL, "mean of recall over the true classes"),
        ("top-1-error", LOWER, LABEL, "share of rows whose first guess is wrong"),
        ("f1", HIGHER, BOOLEAN, "F1 (or F-beta) of one class"),
        ("micro-f1", HIGHER, LABEL, "F1 of counts summed over classes, for labels or 0/1 columns"),
        ("macro-f1", HIGHER, LABEL, "mean over classes of F1, for labels or 0/1 columns"),
        ("sample-f1", HIGHER, BOOLEAN, "mean over rows of F1, for 0/1 columns"),
        ("mcc", HIGHER, LABEL, "Matthews correlation coefficient"),
        ("quadratic-weighted-kappa", HIGHER, INTEGER, "Cohen's kappa with quadratic weights"),
    ),
    "tags": (
        ("tag-micro-f1", HIGHER, CELL, "F1 of (row, tag) pairs, for tags separated by blanks"),
        ("tag-sample-f1", HIGHER, CELL, "mean over rows of F1, for tags separated by blanks"),
    ),
    "roc": (
        ("roc-auc", HIGHER, NUMBER, "area under the ROC curve"),
        ("mean-column-wise-roc-auc", HIGHER, NUMBER, "mean over columns of the area under the ROC curve"),
        ("weighted-auc", HIGHER, NUMBER, "area under the ROC curve, weighted in bands of the true positive rate"),
        ("unintended-bias-auc", HIGHER, NUMBER, "area under the ROC curve, overall and over identity subgroups"),
    ),
    "probabilistic": (
        ("log-loss", LOWER, PROBABILITY, "binary log loss"),
        ("multi-class-log-loss", LOWER, PROBABILITY, "log loss of exclusive classes, one column each"),
        ("multi-label-log-loss", LOWER, PROBABILITY, "mean over labels of binary log loss, one column each"),
        ("weighted-multi-label-log-loss", LOWER, PROBABILITY, "binary log losses weighted by label, mean over groups"),
        ("kl-divergence", LOWER, PROBABILITY, "Kullback-Leibler divergence of class shares, one column each"),
        ("probabilistic-f1", HIGHER, NUMBER, "F1 that counts probabilities as fractions"),
        ("laplace-log-likelihood", HIGHER, NUMBER, "Laplace log likelihood of values with a predicted sigma"),
    ),
    "regression": (
        ("rmse", LOWER, NUMBER, "root mean squared error"),
        ("mean-column-wise-rmse", LOWER, NUMBER, "mean over columns of the root mean squared error (MCRMSE)"),
        ("rmsle", LOWER, NUMBER, "root mean squared logarithmic error"),
        ("mean-column-wise-rmsle", LOWER, NUMBER, "mean over columns of the root mean squared logarithmic error"),
        ("mae", LOWER, NUMBER, "mean absolute error"),
        ("group-mean-log-mae", LOWER, NUMBER, "mean over groups of the logarithm of the mean absolute error"),
        ("r2", HIGHER, NUMBER, "coefficient of determination"),
    ),
    "correlation": (
        ("pearson", HIGHER, NUMBER, "Pearson's correlation coefficient"),
        ("spearman", HIGHER, NUMBER, "Spearman's rank correlation"),
        ("mean-column-wise-spearman", HIGHER, NUMBER, "mean over columns of Spearman's rank correlation"),
    ),
    "ranking": (
        ("map-at-k", HIGHER, CELL, "mean average precision of lists cut at k items"),
        ("lwlrap", HIGHER, NUMBER, "label-weighted label ranking average precision"),
    ),
    "geometry": (
        ("mean-angular-error", LOWER, NUMBER, "mean angle between directions, in radians"),
        ("p50-p95-haversine-distance", LOWER, NUMBER, "mean of the 50th and 95th percentile distance, in metres"),
    ),
}
"""By module: id, direction, default column rule, summary. The function's name is the id with underscores."""

AS_KEPT: Mapping[str, Literal["text", "label"]] = {
    "accuracy": "label",
    "map-at-k": "text",
    "tag-micro-f1": "text",
    "tag-sample-f1": "text",
}
"""Those that take columns of a type as pandas keeps them."""


@hookimpl
def mleb_register_graders() -> "list[TableGrader]":
    """One grader a metric."""
    from mleb_core.grading.table import TableGrader

    return [
        TableGrader(
            id=id,
            metric=f"mleb_metrics.{module}:{id.replace('-', '_')}",
            higher_is_better=higher_is_better,
            summary=summary,
            column=column,
            as_kept=AS_KEPT.get(id),
        )
        for module, metrics in METRICS.items()
        for id, higher_is_better, column, summary in metrics
    ]
