"""Solves a task that was understood: features once, then the ladder for each target."""

import re
import time

import numpy as np
import numpy.typing as npt

from mleb_baseline.decide import decide
from mleb_baseline.features import Features, build
from mleb_baseline.guard import Guard
from mleb_baseline.journal import Journal
from mleb_baseline.options import Options
from mleb_baseline.submission import Submission
from mleb_baseline.task import Target, Task
from mleb_baseline.train import Result, Trial, climb

__all__ = ["solve"]

Floats = npt.NDArray[np.float64]


def solve(
    task: Task, options: Options, guard: Guard, *, journal: Journal, submission: Submission, share: float
) -> None:
    """Predict all targets, handing in each improvement.

    Args:
        task: with a train table and targets.
        options: seed, threads, families of models.
        guard: the clock.
        journal: told of everything.
        submission: what is handed in.
        share: share of the time to plan with.
    """
    assert task.train is not None
    targets = []
    for target in task.targets:
        known = np.isfinite(target.truth) if target.kind == "number" else target.truth >= 0
        if known.sum() < 2 or (target.kind != "number" and len(target.classes) < 2):
            journal.say(f"{target.name}: {int(known.sum())} known values and nothing to learn; stays as in the sample")
            continue
        targets.append(target)
        _hand_in_constant(target, submission)
    if not targets:
        return
    features = build(task, options.seed, lambda: guard.left(share) > 0.5 * options.seconds * share)
    if features is None:
        journal.say("no column or image that train and test share; constants stand")
        return
    for note in features.notes:
        journal.say(note)
    journal.say(f"features: tree {features.tree.shape[1]}, compact {features.compact.shape[1]}, "
                f"linear {features.linear.shape[1]} columns")  # fmt: skip
    whole = _asks_for_whole_numbers(task)
    for number, target in enumerate(targets):
        seconds = min(guard.left(share) / 1.25, _enough(features.rows, len(targets)) * (len(targets) - number))
        end = time.monotonic() + seconds / (len(targets) - number)
        _solve_one(target, features=features, options=options, journal=journal, submission=submission,
                   end=end, whole=whole and target.whole)  # fmt: skip


def _solve_one(
    target: Target,
    *,
    features: Features,
    options: Options,
    journal: Journal,
    submission: Submission,
    end: float,
    whole: bool,
) -> None:
    shares = _shares(target)

    def improved(result: Result) -> None:
        decision = decide(target, target.truth[result.rows], result.oof, shares)
        submission.put(decision.write(target, result.test, shares, whole=whole))
        journal.chosen(target.name, target.metric.name, result.recipe)

    def tried(trial: Trial) -> None:
        journal.trial(target.name, trial)

    climb(
        target,
        features,
        seed=options.seed,
        jobs=options.n_jobs,
        families=options.models,
        left=lambda: end - time.monotonic(),
        improved=improved,
        tried=tried,
    )


def _hand_in_constant(target: Target, submission: Submission) -> None:
    from mleb_baseline.decide import Decision

    rows = len(submission.table)
    if target.kind == "number":
        known = target.truth[np.isfinite(target.truth)]
        submission.put(Decision().write(target, np.full(rows, float(np.median(known))), np.ones(1)))
        return
    shares = _shares(target)
    if target.kind == "ordinal":
        commonest = int(shares.argmax())
        submission.put({target.outputs[0]: [target.classes[commonest]] * rows})
        return
    submission.put(Decision().write(target, np.tile(shares, (rows, 1)), shares))


def _shares(target: Target) -> Floats:
    if target.kind == "number":
        return np.ones(1)
    known = target.truth[target.truth >= 0]
    shares: Floats = np.bincount(known, minlength=len(target.classes)) / len(known)
    return shares


def _enough(rows: int, targets: int) -> float:
    """Seconds for one target after which more models are not worth their time."""
    return float((20 + rows / 250) / max(1, min(targets, 3)) ** 0.7)


def _asks_for_whole_numbers(task: Task) -> bool:
    """Whether the description's part on submissions speaks of whole numbers."""
    try:
        text = (task.data / "description.md").read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
    about = re.search(r"^#+[^\n]*(submission|format)", text, re.MULTILINE)
    return re.search(r"\b(whole numbers?|integers?)\b", text[about.start() :] if about else text) is not None
