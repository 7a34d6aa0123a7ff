"""From predictions to what is written: labels, probabilities, numbers.

A prediction is an array (n, classes) of probabilities for a target of kind "class", else (n,) of numbers.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mleb_baseline.metric import Metric
from mleb_baseline.task import Target

__all__ = ["Decision", "decide", "loss"]

Floats = npt.NDArray[np.float64]
WEIGHT_OF_DOUBT = 0.05
"""Label metrics move in steps; a little log loss tells models of equal score apart."""


@dataclass
class Decision:
    """How predictions of one target become what is written, learned from out-of-fold predictions."""

    alpha: float = 0.0
    """Labels: probabilities are divided by class share ** alpha before the largest is taken."""
    power: float = 1.0
    """Probabilities: raised to this power and normalised."""
    cuts: list[float] = field(default_factory=list)
    """Ordinal: borders between the classes."""

    def classes(self, target: Target, prediction: Floats, shares: Floats) -> npt.NDArray[np.int64]:
        """Class indices (n,)."""
        if target.kind == "ordinal":
            return np.searchsorted(np.array(self.cuts), prediction).astype(np.int64)
        weighed = prediction / np.maximum(shares, 1e-9) ** self.alpha
        return np.asarray(weighed.argmax(axis=1), dtype=np.int64)

    def probabilities(self, prediction: Floats) -> Floats:
        """Probabilities (n, classes), each at least a little above 0, of sum 1."""
        powered = np.clip(prediction, 1e-6, 1) ** self.power
        powered = np.clip(powered / powered.sum(axis=1, keepdims=True), 1e-5, 1 - 1e-5)
        result: Floats = powered / powered.sum(axis=1, keepdims=True)
        return result

    def write(self, target: Target, prediction: Floats, shares: Floats, *, whole: bool = False) -> dict[str, list[str]]:
        """The texts of each output column.

        Args:
            target: what is written.
            prediction: of the test rows.
            shares: share of each class in train.
            whole: round numbers.
        """
        first = target.outputs[0]
        if target.kind == "number":
            known = target.truth[np.isfinite(target.truth)]
            values = np.clip(prediction, known.min(), known.max())
            return {first: [str(int(v)) for v in np.round(values)] if whole else [f"{v:.8g}" for v in values]}
        if target.form == "label":
            return {first: [target.classes[k] for k in self.classes(target, prediction, shares)]}
        if target.form == "ranked":
            order = np.argsort(-prediction, axis=1)[:, : target.top]
            return {first: [" ".join(target.classes[k] for k in row) for row in order]}
        probabilities = self.probabilities(prediction)
        if target.form == "probability":
            return {first: [f"{v:.8f}" for v in probabilities[:, target.positive]]}
        return {o: [f"{v:.8f}" for v in probabilities[:, k]] for k, o in enumerate(target.outputs)}


def loss(target: Target, truth: npt.NDArray[np.int64] | Floats, prediction: Floats) -> float:
    """How bad a prediction is by the target's metric; lower is better. Used to compare and to blend models."""
    metric = target.metric
    if target.kind == "number":
        return metric.loss(truth, prediction)
    if target.kind == "ordinal":
        return metric.loss(truth, np.searchsorted(_matching_cuts(truth, prediction), prediction))
    if metric.wants == "probability":
        return metric.loss(truth, prediction)
    doubt: float = Metric("log_loss").loss(truth, prediction) / max(float(np.log(prediction.shape[1])), 0.1)
    return metric.loss(truth, prediction.argmax(axis=1)) + WEIGHT_OF_DOUBT * doubt


def decide(target: Target, truth: npt.NDArray[np.int64] | Floats, prediction: Floats, shares: Floats) -> Decision:
    """Learn a decision from out-of-fold predictions."""
    if target.kind == "number":
        return Decision()
    if target.kind == "ordinal":
        return Decision(cuts=list(_best_cuts(target.metric, truth, prediction)))
    if target.metric.wants == "probability":
        if target.metric.name not in ("log_loss", "brier"):
            return Decision()
        powers = [Decision(power=p) for p in (1.0, 0.7, 0.8, 0.9, 1.1, 1.2, 1.35, 1.5)]
        return min(powers, key=lambda d: float(target.metric.loss(truth, d.probabilities(prediction))))
    if target.metric.name in ("accuracy", "f1_micro"):
        return Decision()
    best, lowest = Decision(), target.metric.loss(truth, prediction.argmax(axis=1))
    for alpha in (0.2, 0.35, 0.5, 0.65, 0.8, 1.0):
        option = Decision(alpha=alpha)
        value = target.metric.loss(truth, option.classes(target, prediction, shares))
        if value < lowest - 0.002:  # a gain within chance is no reason to leave plain labels
            best, lowest = option, value
    return best


def _matching_cuts(truth: npt.NDArray[np.int64] | Floats, prediction: Floats) -> Floats:
    """Borders that give each class as often as it is in truth."""
    counts = np.bincount(truth.astype(np.int64))
    cuts: Floats = np.quantile(prediction, np.cumsum(counts)[:-1] / counts.sum())
    return cuts


def _best_cuts(metric: Metric, truth: npt.NDArray[np.int64] | Floats, prediction: Floats) -> Floats:
    """Borders improved one by one, from those that match the shares."""
    cuts = _matching_cuts(truth, prediction)
    lowest = metric.loss(truth, np.searchsorted(cuts, prediction))
    spread = float(prediction.std()) or 1.0
    for step in (0.2, 0.1, 0.05, 0.025):
        for k in range(len(cuts)):
            for sign in (-1, 1):
                trial = cuts.copy()
                trial[k] += sign * step * spread
                if (np.diff(trial) < 0).any():
                    continue
                value = metric.loss(truth, np.searchsorted(trial, prediction))
                if value < lowest:
                    cuts, lowest = trial, value
    return cuts
