"""What the metrics need of arrays: one shape, one type, classes as codes, groups as codes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mleb_core.errors import InvalidSubmissionError

__all__ = [
    "Array",
    "Flags",
    "Floats",
    "Ints",
    "are_texts",
    "as_columns",
    "as_flags",
    "as_floats",
    "as_row",
    "codes",
    "refuse_rows",
    "same_shape",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def as_floats(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both sides as float64, unchanged in shape.

    Raises:
        ValueError: the shapes differ, there are no rows, or a value is no number.
    """
    a, b = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    same_shape(a, b)
    return a, b


def as_row(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both sides as float64 of shape (n,); (n, 1) is accepted.

    Raises:
        ValueError: as in `as_floats`, or there are several columns.
    """
    a, b = as_floats(truth, predicted)
    return _one_column(a), _one_column(b)


def as_columns(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both sides as float64 of shape (n, k); (n,) becomes (n, 1).

    Raises:
        ValueError: as in `as_floats`.
    """
    a, b = as_floats(truth, predicted)
    return (a[:, None], b[:, None]) if a.ndim == 1 else (a, b)


def as_flags(truth: npt.ArrayLike, positive: object) -> Flags:
    """Where the truth is the positive class, shape unchanged."""
    return np.asarray(np.asarray(truth) == positive, dtype=np.bool_)


def codes(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Ints, Ints, Array]:
    """Class codes 0, 1, ... of both sides and the classes by code, in the order of their first appearance.

    Numbers are equal by value (3 = 3.0 = "3" is false: text never equals a number); text is compared as it stands.

    Args:
        truth: labels, shape (n,) or (n, 1).
        predicted: labels, same shape.

    Raises:
        ValueError: the shapes differ, there are no rows, or there are several columns.
    """
    import pandas as pd

    a, b = np.asarray(truth), np.asarray(predicted)
    same_shape(a, b)
    a, b = _one_column(a), _one_column(b)
    numeric = all(side.dtype.kind in "biuf" for side in (a, b))
    both = np.concatenate([a, b] if numeric else [a.astype(object), b.astype(object)])
    found, classes = pd.factorize(both, use_na_sentinel=False)
    return found[: len(a)], found[len(a) :], np.asarray(classes)


def refuse_rows(bad: Flags, what: str, values: npt.ArrayLike) -> None:
    """Refuse a submission for its first bad row.

    Args:
        bad: shape (n,).
        what: what is wrong and what was expected, with "{}" for the value.
        values: shape (n,), the values to name.

    Raises:
        InvalidSubmissionError: a row is bad; rows are counted from 1 in the order of the answers.
    """
    if bad.any():
        first = int(np.argmax(bad))
        more = int(bad.sum()) - 1
        also = f" ({more} more such rows)" if more else ""
        value = np.asarray(values)[first]
        raise InvalidSubmissionError(f"scored row {first + 1} in the order of the answers: {what.format(value)}{also}")


def are_texts(values: Array) -> bool:
    """Whether all values are text."""
    import pandas as pd

    return values.dtype == object and pd.api.types.infer_dtype(values, skipna=False) == "string"


def same_shape(truth: Array, predicted: Array) -> None:
    """Refuse shapes that differ, or no rows.

    Raises:
        ValueError: says which shapes.
    """
    if truth.shape != predicted.shape or truth.ndim not in (1, 2):
        raise ValueError(
            f"shapes (n,) or (n, k) expected, the same on both sides; got {truth.shape}, {predicted.shape}"
        )
    if truth.size == 0:
        raise ValueError("there are no rows to score")


def _one_column(values: Array) -> Array:
    if values.ndim == 1:
        return values
    if values.shape[1] == 1:
        return values[:, 0]
    raise ValueError(f"one target column expected, got {values.shape[1]}")
