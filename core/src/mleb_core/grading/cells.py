"""Cells: what each column of a submission must hold, and its values as arrays."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mleb_core.competition_spec import Column
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.ids import row_name
from mleb_core.grading.read import short, to_numbers
from mleb_core.grading.texts import is_kept_as_bytes

__all__ = ["check_cells", "check_row_sums", "column_rules", "stack", "truth_cells"]

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

_WORDS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


class _BadCellError(Exception):
    """A cell breaks its rule: `position` among the values looked at, None where it is the whole column's fault."""

    def __init__(self, position: int | None, problem: str) -> None:
        self.position, self.problem = position, problem
        super().__init__(problem)


def column_rules(
    declared: Mapping[str, Column], answers: Sequence[str], ids: Sequence[str], default: Column | None = None
) -> dict[str, Column]:
    """The rule of each target column.

    Args:
        declared: `[grading.columns]`. "*" stands for all columns of the answers but the ids and those named; where
            nothing is declared at all, `default` is taken for "*".
        answers: the answers' columns.
        ids: the id columns.
        default: the grader's rule; None: any finite number.

    Returns:
        Rules by column: those of the answers in the answers' order, then the others as declared.
    """
    rest = declared.get("*") if declared else default or Column()
    named = {name: rule for name, rule in declared.items() if name != "*"}
    rules = {}
    for name in answers:
        rule = named.get(name, None if name in ids else rest)
        if rule is not None:
            rules[name] = rule
    return {**rules, **{name: rule for name, rule in named.items() if name not in rules}}


def check_cells(
    submission: pd.DataFrame,
    rules: Mapping[str, Column],
    *,
    ids: Sequence[str] = (),
    rows: Mask | None = None,
    answers: pd.DataFrame | None = None,
    refuse_numbers: bool = False,
    missing_text: str = "",
    as_kept: bool = False,
) -> dict[str, Array]:
    """Check each cell of the target columns and convert them.

    Args:
        submission: has the columns.
        rules: rule by column.
        ids: the id columns, for messages.
        rows: only these rows are looked at, shape (len(submission),); None: all.
        answers: where a label column of the same name is there, labels must be of its kind, number or text.
        refuse_numbers: whether a text column that holds numbers throughout is refused.
        missing_text: what an empty cell of a text or label column reads as, where empty cells are allowed.
        as_kept: leave texts in the array in which pandas keeps them, where it keeps their bytes (see `texts`), and
            labels numbers, where the answers' labels are whole numbers: int64, or Python's numbers as objects.

    Returns:
        Arrays of shape (n,) in the submission's order, n the rows looked at. number: float64, NaN where an allowed
        cell is empty; integer: int64 (uint64 where needed; float64 with empty cells or beyond); boolean: bool
        (float64 with empty cells); label, text: object arrays of str. A number's label is its shortest form, so that
        3 and 3.0 are one label; its text is what pandas writes: '3' or '3.0'.

    Raises:
        InvalidSubmissionError: names the first row, its id and the column, and says what is wrong.
    """
    if block := _plain_numbers(submission, rules, rows):
        return block
    cells = {}
    for name, rule in rules.items():
        column = submission[name]
        looked_at = column if rows is None else column[rows]
        truth = answers[name] if answers is not None and name in answers else None
        try:
            if refuse_numbers and rule.type == "text" and _is_numeric(column) and bool(column.notna().any()):
                raise _BadCellError(None, "it holds numbers throughout where texts are expected")
            cells[name] = _converted(looked_at, rule, truth, missing_text, as_kept)
        except _BadCellError as bad:
            if bad.position is None:
                raise InvalidSubmissionError(f"column {name!r}: {bad.problem}") from None
            row = bad.position if rows is None else int(np.flatnonzero(rows)[bad.position])
            raise InvalidSubmissionError(f"{row_name(submission, ids, row)}, column {name!r}: {bad.problem}") from None
    return cells


def truth_cells(
    answers: pd.DataFrame, rules: Mapping[str, Column], *, missing_text: str = "", as_kept: bool = False
) -> dict[str, Array]:
    """The answers' columns, converted as `check_cells` converts; limits do not bind, empty cells are allowed.

    Raises:
        GraderError: a column is missing, or a cell is not of its type; names row and column, never the value.
    """
    cells = {}
    for name, rule in rules.items():
        if name not in answers:
            raise GraderError(f"the answers have no column {name!r}; see grading.columns in competition.toml")
        try:
            kept = as_kept and rule.values is None and rule.pattern is None
            free, itself = Column(type=rule.type, missing=True), answers[name] if kept else None
            cells[name] = _converted(answers[name], free, itself, missing_text, kept)
        except _BadCellError as bad:
            row = "" if bad.position is None else f"row {int(answers.index[bad.position]) + 1}, "
            raise GraderError(f"the answers' {row}column {name!r}: a value is not of type {rule.type}") from None
    return cells


def check_row_sums(
    cells: Mapping[str, Array],
    value: float,
    tolerance: float,
    submission: pd.DataFrame,
    *,
    ids: Sequence[str] = (),
    rows: Mask | None = None,
) -> None:
    """Check that the target columns of each row sum to a value.

    Args:
        cells: from `check_cells`.
        value: the sum.
        tolerance: largest difference allowed.
        submission: as `check_cells` had it, for messages.
        ids: the id columns, for messages.
        rows: as `check_cells` had it.

    Raises:
        InvalidSubmissionError: names the first row.
    """
    block = stack(cells.values()).astype(np.float64)
    sums = block.reshape(len(block), -1).sum(axis=1)
    wrong = ~(np.abs(sums - value) <= tolerance)  # NaN is wrong, too
    if bool(wrong.any()):
        first = int(np.argmax(wrong))
        row = first if rows is None else int(np.flatnonzero(rows)[first])
        raise InvalidSubmissionError(
            f"{row_name(submission, ids, row)}: the target columns sum to {float(sums[first]):.9g}, "
            f"expected {value:g} within {tolerance:g}"
        )


def stack(columns: Any) -> Array:
    """Columns side by side: (n,) for one column, as it is, (n, k) for k; of mixed kinds as objects."""
    arrays = list(columns)
    if len(arrays) == 1:
        only: Array = arrays[0]
        return only
    arrays = [np.asarray(a) for a in arrays]
    if any(a.dtype == object for a in arrays):
        arrays = [a.astype(object) for a in arrays]
    return np.column_stack(arrays)


def _plain_numbers(submission: pd.DataFrame, rules: Mapping[str, Column], rows: Mask | None) -> dict[str, Array]:
    """All columns at once where all are numbers by one rule and nothing is wrong; else nothing."""
    rule = next(iter(rules.values()), None)
    if rule is None or len(rules) < 2 or rule.type != "number" or rule.values is not None:
        return {}
    if any(other != rule for other in rules.values()):
        return {}
    table = submission[list(rules)]
    if any(kind.kind not in "iufb" for kind in table.dtypes):
        return {}
    block = table.to_numpy(dtype=np.float64)
    block = block if rows is None else block[rows]
    low, high = (-np.inf if rule.min is None else rule.min), (np.inf if rule.max is None else rule.max)
    if not len(block) or not (np.isfinite(block).all() and block.min() >= low and block.max() <= high):
        return {}
    return dict(zip(rules, np.ascontiguousarray(block.T), strict=True))


def _converted(
    column: "pd.Series[Any]", rule: Column, truth: "pd.Series[Any] | None", missing_text: str, as_kept: bool
) -> Array:
    """The values of one column.

    Raises:
        _BadCellError: the first one that breaks the rule.
    """
    empty = column.isna().to_numpy(dtype=bool)
    if rule.type in ("label", "text"):
        if not rule.missing:
            _refuse(empty, column, "the cell is empty")
        return _as_text(column, rule, truth, missing_text, as_kept=as_kept)
    if rule.type == "boolean":
        values = _as_flags(column, empty)
    else:
        values = _as_numbers(column, empty)
        if not rule.missing:
            _refuse(np.isnan(values), column, "the cell is empty; a number is expected")
        _refuse(np.isinf(values), column, "{} is not finite")
        if rule.type == "integer":
            _refuse(
                values != np.where(np.isnan(values), values, np.trunc(values)),
                column,
                "{} is not a whole number",
                nan=False,
            )
    if rule.type == "boolean" and not rule.missing:
        _refuse(empty, column, "the cell is empty; true or false is expected")
    if rule.min is not None:
        _refuse(values < rule.min, column, f"{{}} is below {rule.min:g}")
    if rule.max is not None:
        _refuse(values > rule.max, column, f"{{}} is above {rule.max:g}")
    if rule.values is not None:
        allowed = [float(v) for v in rule.values if isinstance(v, int | float)]
        _refuse(~np.isin(values, allowed) & ~np.isnan(values), column, f"{{}} is none of {_listed(rule.values)}")
    return _narrowed(values, column, rule)


def _refuse(wrong: Mask, column: "pd.Series[Any]", problem: str, *, nan: bool = True) -> None:
    """Raise for the first wrong value, if there is one; `{}` in the problem stands for it."""
    if not nan:
        wrong = wrong & column.notna().to_numpy(dtype=bool)
    if bool(wrong.any()):
        first = int(np.argmax(wrong))
        raise _BadCellError(first, problem.replace("{}", short(column.iloc[first])))


def _as_numbers(column: "pd.Series[Any]", empty: Mask) -> npt.NDArray[np.float64]:
    """Values as floats, NaN where empty."""
    if _is_numeric(column):
        return column.to_numpy(dtype=np.float64)
    texts = column.astype(object)
    if pd.api.types.infer_dtype(texts, skipna=True) == "boolean":  # True and False beside empty cells
        return texts.to_numpy(dtype=np.float64)
    numbers = to_numbers(texts).to_numpy(dtype=np.float64)
    _refuse(np.isnan(numbers) & ~empty, column, "{} is not a number")
    return numbers


def _as_flags(column: "pd.Series[Any]", empty: Mask) -> npt.NDArray[np.float64]:
    """True / false / 1 / 0 as 1.0 / 0.0, NaN where empty."""
    if _is_numeric(column):
        values = column.to_numpy(dtype=np.float64)
        _refuse(~np.isin(values, (0.0, 1.0)) & ~empty, column, "{} is neither true nor false")
        return values
    codes, uniques = pd.factorize(column.astype(object))
    words = np.array([_WORDS.get(str(u).lower(), np.nan) for u in uniques] + [np.nan], dtype=np.float64)
    values = words[codes]
    _refuse(np.isnan(values) & ~empty, column, "{} is neither true nor false")
    return values


def _narrowed(values: npt.NDArray[np.float64], column: "pd.Series[Any]", rule: Column) -> Array:
    """Integers and booleans as such, where no cell is empty and nothing is lost."""
    if rule.type == "number" or bool(np.isnan(values).any()):
        return values
    if rule.type == "boolean":
        return values.astype(bool)
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iu":
        return column.to_numpy()
    return values.astype(np.int64) if bool(np.all(np.abs(values) < 2.0**63)) else values


def _as_text(
    column: "pd.Series[Any]", rule: Column, truth: "pd.Series[Any] | None", missing_text: str, *, as_kept: bool
) -> Array:
    """Values as objects of str, or as they are kept."""
    label = rule.type == "label"
    as_kept = as_kept and rule.values is None and rule.pattern is None
    empty = column.isna().to_numpy(dtype=bool)
    if label and truth is not None and not bool(empty.all()):
        if not _is_numeric(truth):
            if _is_numeric(column):
                raise _BadCellError(None, "it holds numbers throughout where text labels are expected")
        elif pd.api.types.is_bool_dtype(truth) != pd.api.types.is_bool_dtype(column) or not _is_numeric(column):
            column = pd.Series(_as_numbers(column, empty))
            if pd.api.types.is_bool_dtype(truth) and bool(column.isin([0, 1]).all()):
                column = column.astype(bool)
    if as_kept and label and truth is not None and _is_whole(truth):
        numbers: Array = column.to_numpy(dtype=None if _is_whole(column) else object)
        return numbers
    if rule.values is None and rule.pattern is None and not _is_numeric(column):
        if as_kept and is_kept_as_bytes(column):
            kept: Array = column.fillna(missing_text).array if bool(empty.any()) else column.array
            return kept
        texts = column.to_numpy(dtype=object)
        if pd.api.types.infer_dtype(texts, skipna=True) == "string":  # as they are to be
            return np.where(empty, missing_text, texts) if bool(empty.any()) else texts
    codes, uniques = pd.factorize(column.astype(object) if not _is_numeric(column) else column)
    words = np.empty(len(uniques) + 1, dtype=object)
    words[:-1] = [_label(u) if label else _text(u) for u in uniques]
    words[-1] = missing_text
    values: Array = words[codes]
    if rule.values is not None:
        known = {_label(v) if label else _text(v) for v in rule.values}
        good = np.array([w in known for w in words[:-1]] + [True], dtype=bool)
        _refuse(~good[codes], column, f"{{}} is none of {_listed(rule.values)}")
    if rule.pattern is not None:
        fits = re.compile(rule.pattern).fullmatch
        good = np.array([fits(w) is not None for w in words[:-1]] + [True], dtype=bool)
        _refuse(~good[codes], column, f"{{}} does not match {rule.pattern}")
    return values


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.item() if hasattr(value, "item") else value)


def _label(value: Any) -> str:
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(repr, values[:10])) + (", ..." if len(values) > 10 else "")


def _is_whole(column: "pd.Series[Any]") -> bool:
    """Signed whole numbers throughout."""
    return isinstance(column.dtype, np.dtype) and column.dtype.kind == "i"


def _is_numeric(column: "pd.Series[Any]") -> bool:
    """Numbers or booleans throughout."""
    return pd.api.types.is_numeric_dtype(column)
