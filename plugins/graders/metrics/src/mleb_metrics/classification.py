"""Metrics of hard labels: accuracy, F1, Matthews correlation, kappa.

Labels are numbers or text, shape (n,). Where a definition counts classes, they are the union of those in truth and
predictions, so a class that was never true but predicted counts as a class.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_metrics.arrays import Flags, Ints, are_texts, as_columns, as_flags, codes, refuse_rows, same_shape

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "f1",
    "macro_f1",
    "mcc",
    "micro_f1",
    "quadratic_weighted_kappa",
    "sample_f1",
    "top_1_error",
]


def accuracy(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Share of rows whose label is right.

    Args:
        truth: labels, shape (n,), or several columns of them, shape (n, k): then a row is right when all its cells are
            (subset accuracy).
        predicted: labels, same shape.

    Source: scikit-learn `accuracy_score`.
    """
    a, b = np.asarray(truth), np.asarray(predicted)
    if a.ndim == 1 and a.dtype.kind == "i" and b.dtype.kind in "iO":
        same_shape(a, b)
        return float(np.mean(np.asarray(a == b, dtype=bool)))
    if a.ndim == 2 and a.shape[1] > 1 and a.shape == b.shape:
        right = np.logical_and.reduce([np.equal(*codes(a[:, j], b[:, j])[:2]) for j in range(a.shape[1])])
        return float(np.mean(right))
    if a.ndim == 1 and are_texts(a) and are_texts(b):
        same_shape(a, b)
        return float(np.mean(a == b))
    true, guess, _ = codes(a, b)
    return float(np.mean(true == guess))


def top_1_error(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, listed: bool = False) -> float:
    """One minus the accuracy of the first guess.

    Args:
        truth: labels, shape (n,).
        predicted: labels, shape (n,); with `listed` text: class numbers separated by blanks, best first; the first
            one counts, written in digits ("12 5 7" and " 0012 " are 12).
        listed: whether cells are such lists.

    Raises:
        InvalidSubmissionError: `listed`, and a cell does not start with a whole number.
    """
    if not listed:
        return 1.0 - accuracy(truth, predicted)
    cells = np.asarray(predicted, dtype=object).ravel().tolist()
    guesses = np.array([_leading_number(str(cell), row) for row, cell in enumerate(cells, 1)], dtype=object)
    return 1.0 - accuracy([int(label) for label in np.asarray(truth).ravel()], guesses)


def balanced_accuracy(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Plain mean over the true classes of recall (the share of the class's rows that is right).

    Source: scikit-learn `balanced_accuracy_score`.
    """
    hits, true, _ = _class_counts(truth, predicted)
    return float(np.mean(hits[true > 0] / true[true > 0]))


def f1(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, positive: object = 1, beta: float = 1.0) -> float:
    """F-beta of one class: (1 + b²) TP / ((1 + b²) TP + b² FN + FP); 0 where TP is 0.

    Args:
        truth: labels, shape (n,).
        predicted: labels, shape (n,).
        positive: the class that counts.
        beta: weight of recall against precision.

    Source: van Rijsbergen, Information Retrieval, 1979; scikit-learn `fbeta_score`.
    """
    true, guess = as_flags(truth, positive).ravel(), as_flags(predicted, positive).ravel()
    if true.shape != guess.shape:
        raise ValueError(f"truth and predictions differ in length: {true.size}, {guess.size}")
    hits = int(np.sum(true & guess))
    below = beta**2 * int(true.sum()) + int(guess.sum())
    return (1 + beta**2) * hits / below if hits else 0.0


def micro_f1(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """F1 of counts summed over all classes: 2 TP / (2 TP + FP + FN); 0 where nothing is true or predicted.

    Args:
        truth: labels, shape (n,): then it equals accuracy; or 0/1 flags, one column a class, shape (n, k).
        predicted: same kind and shape.

    Source: scikit-learn `f1_score(average="micro")`.
    """
    if np.ndim(truth) == 1 or np.shape(truth)[1] == 1:
        return accuracy(truth, predicted)
    true, guess = _flag_columns(truth, predicted)
    below = int(true.sum()) + int(guess.sum())
    return 2 * int((true & guess).sum()) / below if below else 0.0


def macro_f1(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, truncate: bool = False) -> float:
    """Plain mean over classes of each class's F1 = 2 TP / (2 TP + FP + FN).

    Args:
        truth: labels, shape (n,): classes are those in truth or predictions, so a class that is only predicted counts
            with 0; or 0/1 flags, one column a class, shape (n, k): a class neither true nor predicted counts 0.
        predicted: same kind and shape.
        truncate: cut predicted numbers to whole ones towards zero (3.9 is 3) first.

    Source: scikit-learn `f1_score(average="macro", zero_division=0)`.
    """
    if truncate:
        truth, predicted = np.asarray(truth, dtype=np.float64), np.trunc(np.asarray(predicted, dtype=np.float64))
    if np.ndim(truth) == 1 or np.shape(truth)[1] == 1:
        hits, true, guess = _class_counts(truth, predicted)
    else:
        a, b = _flag_columns(truth, predicted)
        hits, true, guess = (flags.sum(axis=0) for flags in (a & b, a, b))
    below = true + guess
    return float(np.mean(2 * hits / np.where(below > 0, below, 1)))


def sample_f1(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Plain mean over rows of each row's F1 = 2 |T and P| / (|T| + |P|); a row empty on both sides counts 0.

    Args:
        truth: 0/1 flags, one column a class, shape (n, k).
        predicted: 0/1 flags, shape (n, k).

    Source: scikit-learn `f1_score(average="samples", zero_division=0)`.
    """
    true, guess = _flag_columns(truth, predicted)
    below = true.sum(axis=1) + guess.sum(axis=1)
    return float(np.mean(2 * (true & guess).sum(axis=1) / np.where(below > 0, below, 1)))


def mcc(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Matthews correlation coefficient, in its multi-class form; 0 where it is undefined (one side constant).

    With s rows, c of them right, t_k true and p_k predicted rows of class k:
    (c s - sum t_k p_k) / sqrt((s² - sum p_k²) (s² - sum t_k²)). For two classes this is Pearson's correlation of flags.

    Source: Gorodkin, Comput. Biol. Chem. 28, 2004; scikit-learn `matthews_corrcoef`.
    """
    hits, true, guess = (counts.astype(np.float64) for counts in _class_counts(truth, predicted))
    rows = true.sum()
    above = hits.sum() * rows - true @ guess
    below = np.sqrt(rows**2 - guess @ guess) * np.sqrt(rows**2 - true @ true)
    return float(above / below) if below > 0 else 0.0


def quadratic_weighted_kappa(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, *, labels: Sequence[object] | None = None
) -> float:
    """Cohen's kappa with quadratic weights: 1 - sum(W O) / sum(W E).

    O is the confusion matrix, E the outer product of its margins divided by n, W the squared difference of the
    labels' positions in the list of labels. A constant prediction gives 0; nan where both sides are the same constant.

    Args:
        truth: labels, shape (n,).
        predicted: labels, shape (n,).
        labels: the scale in its order. None: the sorted labels that occur on either side, so that a label absent from
            both closes up (with 0, 1, 2, 4 the step from 2 to 4 is one).

    Raises:
        InvalidSubmissionError: a predicted label is not on the given scale.
        GraderError: a true label is not on the given scale.

    Source: Cohen, Psychol. Bull. 70, 1968; scikit-learn `cohen_kappa_score(weights="quadratic")`.
    """
    true, guess, classes = codes(truth, predicted)
    if labels is None:
        try:
            position = np.argsort(np.argsort(classes))
        except TypeError:
            raise InvalidSubmissionError("the labels are text here and numbers there: they have no order") from None
        scale = len(classes)
    else:
        places = {label: place for place, label in enumerate(labels)}
        position = np.array([places.get(label, -1) for label in classes.tolist()], dtype=np.int64)
        scale = len(places)
        if (position[true] < 0).any():
            raise GraderError(f"the answers hold labels that are not on the scale {list(labels)}")
        refuse_rows(position[guess] < 0, f"label {{}} is not one of {list(labels)}", classes[guess])
    t, p = position[true].astype(np.float64), position[guess].astype(np.float64)
    n_true = np.bincount(position[true], minlength=scale).astype(np.float64)
    n_guess = np.bincount(position[guess], minlength=scale).astype(np.float64)
    steps = np.arange(scale, dtype=np.float64)
    # sum over i, j of (i - j)² n_i m_j, multiplied out, so that no scale x scale matrix is needed.
    expected = (
        (steps**2 @ n_true) * n_guess.sum()
        - 2 * (steps @ n_true) * (steps @ n_guess)
        + n_true.sum() * (steps**2 @ n_guess)
    ) / len(t)
    observed = float(np.sum((t - p) ** 2))
    return float(1 - observed / expected) if expected > 0 else float("nan")


def _leading_number(cell: str, row: int) -> int:
    try:
        return int(cell.split(maxsplit=1)[0])
    except (IndexError, ValueError):
        shown = repr(cell if len(cell) <= 40 else cell[:37] + "...")
        raise InvalidSubmissionError(
            f"scored row {row} in the order of the answers: {shown} does not start with a whole number"
        ) from None


def _class_counts(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Ints, Ints, Ints]:
    """By class: rows that are right, rows that are truly of it, rows predicted to be of it."""
    true, guess, classes = codes(truth, predicted)
    hits = np.bincount(true[true == guess], minlength=len(classes))
    return hits, np.bincount(true, minlength=len(classes)), np.bincount(guess, minlength=len(classes))


def _flag_columns(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Flags, Flags]:
    a, b = as_columns(truth, predicted)
    return a == 1, b == 1
