"""Climbs the ladder for one target: cross-validates, keeps what improves, blends, refits."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mleb_baseline.decide import loss
from mleb_baseline.features import Features
from mleb_baseline.folds import make_folds
from mleb_baseline.models import Candidate, class_ladder, number_ladder
from mleb_baseline.task import Target

__all__ = ["Result", "Trial", "climb"]

Floats = npt.NDArray[np.float64]
SLOW_CELLS = 3_000_000
"""Above this many cells a model is timed on a tenth of the rows first."""


@dataclass
class Trial:
    """One model that was tried."""

    name: str
    """Name for people."""
    score: float | None
    """Cross-validated score in the target's metric, as the description would give it; None: it failed."""
    seconds: float
    """Wall-clock seconds that it took."""
    kept: bool
    """Whether it was the best so far and its predictions were handed in."""
    note: str = ""
    """Why it failed or was left out."""
    estimator: str = ""
    """The estimator as scikit-learn prints it."""


@dataclass
class _Member:
    """A model that was cross-validated, with what it predicted."""

    candidate: Candidate
    loss: float
    oof: Floats
    test: Floats


@dataclass
class Result:
    """The best for one target."""

    oof: Floats
    """Out-of-fold predictions of the rows in `rows`."""
    test: Floats
    """Predictions of the test rows."""
    rows: npt.NDArray[np.int64]
    """Train rows that were predicted out of fold."""
    recipe: list[tuple[float, str, str]] = field(default_factory=list)
    """(weight, name, estimator) of the models in it."""


class _Problem:
    """One target with features, folds, and its scale for learning."""

    def __init__(self, target: Target, features: Features, seed: int) -> None:
        self.target, self.features, self.seed = target, features, seed
        truth = target.truth
        known = np.isfinite(truth) if target.kind == "number" else truth >= 0
        self.known = np.flatnonzero(known)
        self.truth = truth[self.known]
        self.values = self.truth.astype(float)
        if target.kind == "ordinal":
            self.values = np.array(target.values)[self.truth]
        self.log = (
            target.kind == "number" and target.metric.name in ("rmsle", "mape", "smape") and self.values.min() > -1
        )
        scale = np.log1p(self.values) if self.log else self.values
        self.middle, self.spread = float(scale.mean()), float(scale.std()) or 1.0
        self.scaled = (scale - self.middle) / self.spread
        self.low, self.high = float(self.values.min()), float(self.values.max())
        self.folds = make_folds(target, self.truth, self.known, features, seed)
        self.scored = np.unique(np.concatenate([valid for _, valid in self.folds]))

    def constant(self, rows: int) -> Floats:
        """What is best without looking at the features."""
        if self.target.kind == "class":
            shares = np.bincount(self.truth, minlength=len(self.target.classes)) / len(self.truth)
            return np.tile(shares, (rows, 1))
        scale = np.median(self.scaled) if self.target.metric.name in ("mae", "mape", "smape") else self.scaled.mean()
        return self.unscaled(np.full(rows, float(scale)))

    def unscaled(self, prediction: Floats) -> Floats:
        value = prediction * self.spread + self.middle
        value = np.expm1(np.clip(value, -0.999, 50)) if self.log else value
        margin = 0.0 if self.target.kind == "ordinal" else 1e-9
        clipped: Floats = np.clip(np.nan_to_num(value), self.low - margin, self.high + margin)
        return clipped

    def fit(self, candidate: Candidate, part: npt.NDArray[np.int64]) -> Any:
        """Fit on some of the known rows; thinned out where they are too many."""
        if len(part) > candidate.max_rows:
            part = np.random.default_rng(self.seed).choice(part, candidate.max_rows, replace=False)
        wanted = self.truth if candidate.expects == "class" else self.scaled
        return candidate.make().fit(self.features.view(candidate.view)[self.known[part]], wanted[part])

    def predict(self, candidate: Candidate, model: Any, rows: Any) -> Floats:
        """Predict rows of the features, in the shape of the target's kind."""
        table = self.features.view(candidate.view)[rows]
        chunks = [table[start : start + 50_000] for start in range(0, table.shape[0], 50_000)]
        if candidate.expects == "number":
            return self.unscaled(np.concatenate([model.predict(chunk) for chunk in chunks]).astype(float))
        some = np.vstack([model.predict_proba(chunk) for chunk in chunks])
        full = np.zeros((len(some), len(self.target.classes)))
        full[:, np.asarray(model.classes_, dtype=int)] = np.nan_to_num(some)
        if self.target.kind == "ordinal":
            expected: Floats = full @ np.array(self.target.values)
            return expected
        return full

    def ladder(self, jobs: int) -> list[Candidate]:
        """The models to try."""
        if self.target.kind == "number":
            return number_ladder(self.features, self.target.metric.name, self.seed, jobs)
        classes = class_ladder(self.features, len(self.target.classes), self.seed, jobs)
        if self.target.kind == "class":
            return classes
        numbers = number_ladder(self.features, "rmse", self.seed, jobs)
        mixed = [c for pair in zip(numbers, classes, strict=False) for c in pair]
        return mixed + numbers[len(classes) :] + classes[len(numbers) :]


def climb(
    target: Target,
    features: Features,
    *,
    seed: int,
    jobs: int,
    families: tuple[str, ...] | None,
    left: Callable[[], float],
    improved: Callable[[Result], None],
    tried: Callable[[Trial], None],
) -> None:
    """Try the models one after the other, then blends of them.

    Args:
        target: what to predict.
        features: train and test rows.
        seed: seeds folds and models.
        jobs: threads.
        families: families of models to try; None: all.
        left: seconds that may still be used for this target; a quarter of what it says at first is used beyond that,
            to refit.
        improved: told of each new best.
        tried: told of each model.
    """
    budget = left()
    problem = _Problem(target, features, seed)
    test_rows = features.tree.shape[0] - features.rows
    begun = time.monotonic()
    everything = problem.constant(len(problem.known))
    members: list[_Member] = []
    best = _loss(problem, everything)
    improved(_result(problem, everything, problem.constant(test_rows), [(1.0, "constant", "")]))
    tried(Trial("constant", _score(problem, everything), time.monotonic() - begun, True))
    ladder = [c for c in problem.ladder(jobs) if families is None or c.family in families]
    for candidate in ladder:
        if left() <= 0:
            break
        begun = time.monotonic()
        member, note = _cross_validate(problem, candidate, left)
        seconds = time.monotonic() - begun
        if member is None:
            tried(Trial(candidate.name, None, seconds, False, note))
            continue
        members.append(member)
        kept = bool(member.loss < best)
        if kept:
            best = member.loss
            improved(_result(problem, member.oof, member.test, [(1.0, candidate.name, _shown(candidate))]))
        score = _score(problem, member.oof)
        tried(Trial(candidate.name, score, seconds, kept, note, _shown(candidate)))
    if members:
        _blend(problem, members, best=best, budget=budget, left=left, improved=improved, tried=tried)


def _cross_validate(problem: _Problem, candidate: Candidate, left: Callable[[], float]) -> tuple[_Member | None, str]:
    """Predictions out of fold and of the test rows (the mean over the folds), or None and why not."""
    folds = problem.folds
    table = problem.features.view(candidate.view)
    try:
        rows = min(len(folds[0][0]), candidate.max_rows)
        if rows * min(table.shape[1], 1000) > SLOW_CELLS:
            begun = time.monotonic()
            problem.fit(candidate, folds[0][0][:: max(10, len(folds[0][0]) // (rows // 10))])
            if (time.monotonic() - begun) * 10 * len(folds) > left() * 0.6:
                return None, "too slow for the time left"
        oof: Floats | None = None
        tests: list[Floats] = []
        for number, (fit_rows, valid_rows) in enumerate(folds):
            begun = time.monotonic()
            model = problem.fit(candidate, fit_rows)
            part = problem.predict(candidate, model, problem.known[valid_rows])
            tests.append(problem.predict(candidate, model, slice(problem.features.rows, None)))
            if oof is None:
                oof = np.zeros((len(problem.known), *part.shape[1:]))
            oof[valid_rows] = part
            taken = time.monotonic() - begun
            if number + 1 < len(folds) and taken * (len(folds) - number - 1) > left():
                return None, "too slow for the time left"
        assert oof is not None
        test: Floats = np.mean(tests, axis=0)
        if not np.isfinite(oof).all() or not np.isfinite(test).all():
            return None, "predictions are not finite"
        return _Member(candidate, float(_loss(problem, oof)), oof, test), ""
    except Exception as error:  # whatever a model does not like about the data, the next one may
        return None, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _blend(
    problem: _Problem,
    members: list[_Member],
    *,
    best: float,
    budget: float,
    left: Callable[[], float],
    improved: Callable[[Result], None],
    tried: Callable[[Trial], None],
) -> None:
    """Add to the mean, again and again, whichever model improves it most; then refit what is in it on all rows."""
    begun = time.monotonic()
    grace = 0.25 * budget
    pool = sorted(members, key=lambda m: m.loss)[:14]
    counts = [0] * len(pool)
    counts[0] = 1
    total, lowest = pool[0].oof.copy(), pool[0].loss
    for size in range(1, 20):
        values = [_loss(problem, (total + m.oof) / (size + 1)) for m in pool]
        pick = int(np.argmin(values))
        if values[pick] >= lowest - 1e-5 * abs(lowest) or left() < -5:
            break
        counts[pick] += 1
        total, lowest = total + pool[pick].oof, values[pick]
    weights = [count / sum(counts) for count in counts]
    chosen = [(w, m) for w, m in zip(weights, pool, strict=True) if w > 0]
    oof: Floats = np.sum([w * m.oof for w, m in chosen], axis=0)
    recipe = [(w, m.candidate.name, _shown(m.candidate)) for w, m in chosen]
    kept = bool(lowest < best)
    test: Floats = np.sum([w * m.test for w, m in chosen], axis=0)
    if kept:
        improved(_result(problem, oof, test, recipe))
    name = "blend of " + ", ".join(f"{w:.2f} {m.candidate.name}" for w, m in chosen)
    tried(Trial(name, _score(problem, oof), time.monotonic() - begun, kept))
    begun, whole, done = time.monotonic(), np.zeros_like(test), True
    for weight, member in chosen:
        if left() <= -grace:
            done = False
            break
        try:
            model = problem.fit(member.candidate, np.arange(len(problem.known)))
            whole += weight * problem.predict(member.candidate, model, slice(problem.features.rows, None))
        except Exception as error:  # as in _cross_validate
            tried(Trial("refit on all rows", None, time.monotonic() - begun, False, f"{type(error).__name__}"))
            return
    if done and np.isfinite(whole).all():
        # Refitted models have seen more rows, the folds' mean is calmer: half of each.
        improved(_result(problem, oof, (test + whole) / 2, recipe))
        tried(Trial("refit on all rows", None, time.monotonic() - begun, True))


def _loss(problem: _Problem, oof: Floats) -> float:
    return loss(problem.target, problem.truth[problem.scored], oof[problem.scored])


def _score(problem: _Problem, oof: Floats) -> float | None:
    """The plain metric, without the part of `loss` that tells equals apart."""
    truth, prediction = problem.truth[problem.scored], oof[problem.scored]
    if problem.target.kind == "ordinal":
        return -loss(problem.target, truth, prediction)
    if problem.target.kind == "class" and problem.target.metric.wants == "label":
        prediction = prediction.argmax(axis=1)
    score = problem.target.metric.score(truth, prediction)
    return score if np.isfinite(score) else None


def _result(problem: _Problem, oof: Floats, test: Floats, recipe: list[tuple[float, str, str]]) -> Result:
    return Result(oof[problem.scored], test, problem.known[problem.scored], recipe)


def _shown(candidate: Candidate) -> str:
    return f"{candidate.view}: {' '.join(repr(candidate.make()).split())}"
