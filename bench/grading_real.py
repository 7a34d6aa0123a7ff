"""Grading submissions of real size, from file to score, beside plain pandas and Python.

    python bench/grading_real.py [SHARE]

The plain way reads both files with pandas, merges them by id, checks for missing and non-finite values, and computes
the metric with numpy or scikit-learn where that is what one does, else with a loop over rows. Both ways must give the
same score. SHARE scales the number of rows. Masks come last, from `masks.py`.

Both ways take turns, in one process and one thread; the least time of some turns counts, for both alike. On a machine
with other work processor time says more than wall-clock time. Neither way keeps anything from one turn to the next.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import masks
import numpy as np
import pandas as pd
from common import VERSUS, least, table, versus

from mleb_core.competition_spec import Column, Grading
from mleb_core.grading.protocol import GradingTask
from mleb_core.registry import Registry

Case = tuple[str, pd.DataFrame, pd.DataFrame, Grading, Callable[[pd.DataFrame], float]]


def main() -> None:
    """Print the table."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    registry, rows = Registry(), []
    for make in (tabular, labels, recommendations, tags, angles):
        name, answers, guess, grading, metric = make(np.random.default_rng(0), share)
        with tempfile.TemporaryDirectory() as root:
            folder = Path(root)
            answers.to_csv(folder / grading.answers, index=False)
            guess.to_csv(folder / "submission.csv", index=False)
            count = len(answers)
            del answers, guess
            task, grader = GradingTask("bench", 1, grading, folder, folder), registry.grader(grading.grader)
            turns = 2 if count > 2_000_000 else 7

            def grade(folder: Path = folder, task: GradingTask = task, grader: Any = grader) -> float:
                os.utime(task.answers)  # so that the answers are read again, as in the plain way
                return float(grader.grade(folder / "submission.csv", task))

            fast, slow = least([grade, partial(plain, folder, grading, metric)], turns)
            assert abs(fast[-1] - slow[-1]) < 1e-9, (name, fast, slow)
        rows.append(versus(name, count, slow, fast))
    table("Grading, from file to score", VERSUS, rows)
    masks.main()


def plain(folder: Path, grading: Grading, metric: Callable[[pd.DataFrame], float]) -> float:
    """The straightforward way: read, check, merge, score."""
    answers, guess = pd.read_csv(folder / grading.answers), pd.read_csv(folder / "submission.csv")
    key = list(grading.id)
    if missing := set(answers.columns) - set(guess.columns):
        raise ValueError(f"columns are missing: {missing}")
    if guess[key].duplicated().any() or set(guess[key[0]]) != set(answers[key[0]]):
        raise ValueError("the ids differ")
    numbers = guess.select_dtypes("number")
    if not np.isfinite(numbers.to_numpy()).all():
        raise ValueError("a value is not finite")
    return metric(answers.merge(guess, on=key, suffixes=("", "_guess"), validate="one_to_one"))


def shuffled(frame: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
    """The rows in another order, as a submission may have them."""
    return frame.take(draw.permutation(len(frame)))


def options(grader: str, key: str, columns: Mapping[str, Any] | None = None, **more: Any) -> Grading:
    """What competition.toml would hold."""
    return Grading(grader=grader, answers="answers.csv", id=(key,), columns=columns or {}, options=more)


def tabular(draw: np.random.Generator, share: float) -> Case:
    """One label a row."""
    n = int(360_000 * share)
    answers = pd.DataFrame({"Id": np.arange(n) * 11, "Cover_Type": draw.integers(1, 8, n)})
    guess = shuffled(answers.assign(Cover_Type=draw.integers(1, 8, n)), draw)
    return (
        "tabular: accuracy",
        answers,
        guess,
        options("accuracy", "Id"),
        lambda both: float((both["Cover_Type"] == both["Cover_Type_guess"]).mean()),
    )


def labels(draw: np.random.Generator, share: float) -> Case:
    """Six probabilities a row."""
    from sklearn.metrics import roc_auc_score

    n, names = int(150_000 * share), ["toxic", "severe", "obscene", "threat", "insult", "hate"]
    ids = [f"{i:016x}" for i in draw.permutation(n)]
    answers = pd.DataFrame({"id": ids, **{name: draw.integers(0, 2, n) for name in names}})
    guess = shuffled(pd.DataFrame({"id": ids, **{name: draw.random(n) for name in names}}), draw)
    return (
        "multi-label: ROC AUC of 6 columns",
        answers,
        guess,
        options("mean-column-wise-roc-auc", "id"),
        (lambda both: float(np.mean([roc_auc_score(both[name], both[f"{name}_guess"]) for name in names]))),
    )


def recommendations(draw: np.random.Generator, share: float) -> Case:
    """Twelve articles a row."""
    n = int(100_000 * share)
    articles = np.array([f"{i:010d}" for i in draw.integers(10**8, 10**9, 50_000)], dtype=object)
    ids = [f"{i:032x}" for i in draw.permutation(n)]
    answers = pd.DataFrame({"customer_id": ids, "prediction": lists(draw, articles, draw.integers(1, 9, n))})
    guess = pd.DataFrame({"customer_id": ids, "prediction": lists(draw, articles, np.full(n, 12))})

    def metric(both: pd.DataFrame) -> float:
        total = 0.0
        for truth, text in zip(both["prediction"], both["prediction_guess"], strict=True):
            wanted, seen, hits, score = set(truth.split()), set(), 0, 0.0
            for rank, item in enumerate(text.split()[:12], 1):
                if item in wanted and item not in seen:
                    hits += 1
                    score += hits / rank
                seen.add(item)
            total += score / min(len(wanted), 12)
        return total / len(both)

    grading = options("map-at-k", "customer_id", {"prediction": Column(type="text")}, k=12)
    return "recommendation: MAP@12", answers, shuffled(guess, draw), grading, metric


def tags(draw: np.random.Generator, share: float) -> Case:
    """A set of tags a row."""
    n = int(600_000 * share)
    names = np.array([f"tag-{i}" for i in range(20_000)], dtype=object)
    answers = pd.DataFrame({"Id": np.arange(n), "Tags": lists(draw, names, draw.integers(1, 6, n))})
    guess = shuffled(pd.DataFrame({"Id": np.arange(n), "Tags": lists(draw, names, draw.integers(1, 6, n))}), draw)

    def metric(both: pd.DataFrame) -> float:
        hits = false = missed = 0
        for truth, text in zip(both["Tags"], both["Tags_guess"], strict=True):
            a, b = set(truth.split()), set(text.split())
            hits += len(a & b)
            false += len(b - a)
            missed += len(a - b)
        return 2 * hits / (2 * hits + false + missed)

    grading = options("tag-micro-f1", "Id", {"Tags": Column(type="text")})
    return "tag sets: micro F1", answers, guess, grading, metric


def angles(draw: np.random.Generator, share: float) -> Case:
    """Two angles a row."""
    n = int(13_000_000 * share)
    ids = np.arange(n) + 100

    def directions() -> pd.DataFrame:
        return pd.DataFrame(
            {"event_id": ids, "azimuth": draw.random(n).round(6) * 6, "zenith": draw.random(n).round(6)}
        )

    def metric(both: pd.DataFrame) -> float:
        a1, z1, a2, z2 = (both[name] for name in ("azimuth", "zenith", "azimuth_guess", "zenith_guess"))
        turn = np.cos(a1) * np.cos(a2) + np.sin(a1) * np.sin(a2)
        cosine = np.sin(z1) * np.sin(z2) * turn + np.cos(z1) * np.cos(z2)
        return float(np.arccos(np.clip(cosine, -1, 1)).mean())

    return "angles: mean error", directions(), directions(), options("mean-angular-error", "event_id"), metric


def lists(draw: np.random.Generator, words: np.ndarray, counts: np.ndarray) -> list[str]:
    """Texts of so many words each."""
    found = words[draw.integers(0, len(words), int(counts.sum()))].tolist()
    ends = np.cumsum(counts).tolist()
    return [" ".join(found[end - count : end]) for end, count in zip(ends, counts.tolist(), strict=True)]


if __name__ == "__main__":
    main()
