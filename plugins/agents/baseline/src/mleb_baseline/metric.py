"""Which metric a description asks for, and how a prediction scores in it."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NAMES", "Metric", "find_metric"]

Floats = npt.NDArray[np.float64]

# (name, what the text says). Of several hits the earliest counts, and at one place the first in this list.
PATTERNS: tuple[tuple[str, str], ...] = (
    ("kappa", r"quadratic[\s-]+weighted[\s-]+kappa|quadratic\s+kappa|weighted\s+kappa|\bqwk\b|cohen'?s?\s+kappa"),
    ("rmsle", r"root[\s-]+mean[\s-]+squared?[\s-]+log|\bm?c?rmsle\b|mean\s+squared\s+log"),
    ("rmse", r"root[\s-]+(?:the\s+)?mean[\s-]+squared?|\bm?c?rmse\b|mean[\s-]+squared[\s-]+(?:error|dev)|\bmse\b"),
    ("smape", r"symmetric\s+mean\s+absolute|\bsmape\b"),
    ("mape", r"mean\s+absolute\s+percentage|\bmape\b"),
    ("mae", r"mean\s+(?:column-?wise\s+)?absolute|\bmae\b"),
    ("r2", r"\br2\b|r[-\s]?squared|\br\^2|r²|coefficient\s+of\s+determination"),
    ("spearman", r"spearman"),
    ("pearson", r"pearson|correlation\s+coefficient(?!.{0,30}matthews)"),
    ("auc", r"area\s+under|\broc\b|\bauc\b|auroc"),
    ("average_precision", r"mean\s+average\s+precision|\bmap@\d+|average\s+precision"),
    ("mcc", r"matthews|\bmcc\b"),
    ("brier", r"brier"),
    ("log_loss", r"log[\s-]*loss|logarithmic\s+loss|cross[\s-]*entropy|log[\s-]+likelihood"),
    ("balanced_accuracy", r"balanced\s+accuracy|mean\s+(?:per[\s-]class\s+)?recall"),
    ("f1_macro", r"macro[\s-]*(?:averaged?\s+)?f[\s_-]?1|f[\s_-]?1[\s-]*(?:score)?[\s,(-]*macro"),
    ("f1_micro", r"micro[\s-]*(?:averaged?\s+)?f[\s_-]?1|f[\s_-]?1[\s-]*(?:score)?[\s,(-]*micro"),
    ("f1", r"\bf[\s_-]?1\b|\bf[\s_-]?beta|\bf[\s_-]?score|f-measure|\bf2\b"),
    (
        "accuracy",
        r"\baccuracy\b|share\s+of\s+(?:correct|right)|fraction\s+of\s+correct|correctly\s+(?:classif|predict)",
    ),
)
NAMES = tuple(name for name, _ in PATTERNS)
PROBABILITY = {"auc", "average_precision", "log_loss", "brier"}
LABEL = {"mcc", "balanced_accuracy", "f1_macro", "f1_micro", "f1", "accuracy", "kappa"}
NUMBER = {"rmsle", "rmse", "smape", "mape", "mae", "r2", "spearman", "pearson"}
HIGHER = {"kappa", "r2", "spearman", "pearson", "auc", "average_precision", *LABEL}
TINY = 1e-7


@dataclass(frozen=True)
class Metric:
    """A metric by name. All scores here are losses of the optimiser: `loss` is lower-is-better."""

    name: str
    """One of `NAMES`."""

    @property
    def wants(self) -> str:
        """What a submission holds under this metric: "probability", "label" or "number"."""
        return "probability" if self.name in PROBABILITY else "label" if self.name in LABEL else "number"

    def score(self, truth: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
        """The metric itself, as a description would give it.

        Args:
            truth: class indices (n,) or numbers (n,).
            prediction: probabilities (n, classes) for a probability metric, class indices (n,) for a label metric,
                numbers (n,) for a number metric.
        """
        return float(_score(self.name, truth, prediction))

    def loss(self, truth: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
        """`score`, turned so that lower is better; a score that is not defined is infinitely bad."""
        score = self.score(truth, prediction)
        if not np.isfinite(score):
            return float("inf")
        return -score if self.name in HIGHER else score


def find_metric(description: str) -> Metric | None:
    """The metric that a description names.

    The text under a heading or after a word such as "evaluation", "metric" or "scored" is read before the rest.
    None where no known metric is named.
    """
    text = description.lower()
    starts = [m.start() for m in re.finditer(r"^#+.*(?:evaluat|metric|scor|grad).*$", text, re.MULTILINE)]
    starts += [m.start() for m in re.finditer(r"\b(?:evaluated|scored|judged|graded|measured|metric)\b", text)]
    for part in [*(text[start : start + 1500] for start in starts), text]:
        hits = []
        for rank, (name, pattern) in enumerate(PATTERNS):
            if match := re.search(pattern, part):
                hits.append((match.start(), rank, name))
        if hits:
            return Metric(min(hits)[2])
    return None


def _score(name: str, truth: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
    if name in LABEL:
        return _label_score(name, truth, prediction)
    if name in PROBABILITY:
        return _probability_score(name, truth, prediction)
    return _number_score(name, truth, prediction)


def _label_score(name: str, truth: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    size = int(max(truth.max(), labels.max())) + 1
    table = np.bincount(truth * size + labels, minlength=size * size).reshape(size, size).astype(float)
    total, diagonal = table.sum(), np.diag(table)
    actual, predicted = table.sum(axis=1), table.sum(axis=0)
    if name in ("accuracy", "f1_micro"):
        return float(diagonal.sum() / total)
    if name == "balanced_accuracy":
        return float((diagonal[actual > 0] / actual[actual > 0]).mean())
    if name == "mcc":
        scale = (total**2 - (predicted**2).sum()) * (total**2 - (actual**2).sum())
        return float((diagonal.sum() * total - (predicted * actual).sum()) / np.sqrt(scale)) if scale > 0 else 0.0
    if name == "kappa":
        weights = np.subtract.outer(np.arange(size), np.arange(size)) ** 2
        expected = (weights * np.outer(actual, predicted)).sum() / total
        return float(1 - (weights * table).sum() / expected) if expected > 0 else 0.0
    present = (actual + predicted) > 0
    f1 = 2 * diagonal[present] / (actual + predicted)[present]
    return float(f1[-1] if name == "f1" and size == 2 and present.all() else f1.mean())


def _probability_score(name: str, truth: npt.NDArray[Any], probability: Floats) -> float:
    classes = probability.shape[1]
    rows = np.arange(len(truth))
    if name == "log_loss":
        clean = np.clip(probability, TINY, 1 - TINY)
        clean = clean / clean.sum(axis=1, keepdims=True)
        return float(-np.log(clean[rows, truth]).mean())
    if name == "brier":
        return float(((probability - np.eye(classes)[truth]) ** 2).sum(axis=1).mean())
    if name == "average_precision" and classes > 2:
        better = (probability > probability[rows, truth][:, None]).sum(axis=1)
        return float((1.0 / (better + 1)).mean())
    from sklearn.metrics import average_precision_score, roc_auc_score

    metric = average_precision_score if name == "average_precision" else roc_auc_score
    columns = [1] if classes == 2 else range(classes)
    values = [float(metric(truth == k, probability[:, k])) for k in columns if 0 < int((truth == k).sum()) < len(truth)]
    return float(np.mean(values)) if values else float("nan")


def _number_score(name: str, truth: Floats, value: Floats) -> float:
    error = value - truth
    if name == "rmsle":
        return float(np.sqrt(((np.log1p(np.maximum(value, 0)) - np.log1p(np.maximum(truth, 0))) ** 2).mean()))
    if name == "rmse":
        return float(np.sqrt((error**2).mean()))
    if name == "mae":
        return float(np.abs(error).mean())
    if name == "mape":
        return float((np.abs(error) / np.maximum(np.abs(truth), 1e-9)).mean())
    if name == "smape":
        return float((2 * np.abs(error) / np.maximum(np.abs(truth) + np.abs(value), 1e-9)).mean())
    spread = float(((truth - truth.mean()) ** 2).sum())
    if name == "r2":
        return 1 - float((error**2).sum()) / spread if spread > 0 else 0.0
    if name == "spearman":
        from scipy.stats import rankdata

        truth, value = rankdata(truth), rankdata(value)
    if value.std() < 1e-12 or truth.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(truth, value)[0, 1])
