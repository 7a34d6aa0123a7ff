"""What a table's column is: number, date, category, text, or nothing to learn from."""

import re
import warnings
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["ColumnKind", "as_dates", "as_numbers", "as_text", "kind_of"]

ColumnKind = Literal["number", "date", "category", "code", "text", "constant"]
DATE = re.compile(r"^\s*(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([ T]\d{1,2}:\d{2}.*)?\s*$")
FEW = 30
"""At most this many different texts are a category; more are a code such as a ticket number, if they are short."""


def kind_of(train: pd.Series, test: pd.Series) -> ColumnKind:
    """The kind of a column that train and test share.

    constant: one value in all. category: at most 30 values. code: more, but short. text: several words, mostly
    different from row to row.
    """
    both = pd.concat([train, test], ignore_index=True)
    different = both.nunique(dropna=False)
    if different <= 1 or train.nunique(dropna=False) <= 1:
        return "constant"
    if pd.api.types.is_bool_dtype(train) and pd.api.types.is_bool_dtype(test):
        return "number"
    if pd.api.types.is_numeric_dtype(both):
        return "number"
    known = both.dropna().astype(str)
    if not len(known):
        return "constant"
    head = known.iloc[:: max(1, len(known) // 500)]
    if head.map(lambda v: bool(DATE.match(v))).mean() > 0.95:
        return "date"
    if pd.to_numeric(head, errors="coerce").notna().mean() > 0.95:
        return "number"
    if known.nunique() <= FEW:
        return "category"
    words = float((head.str.count(r"\s+") + 1).mean())
    if words >= 3 and known.nunique() > 0.3 * len(known):
        return "text"
    return "code" if head.str.len().mean() <= 60 else "text"


def as_numbers(column: pd.Series) -> npt.NDArray[np.float64]:
    """Floats, NaN where there is no finite number."""
    values: npt.NDArray[np.float64] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def as_text(column: pd.Series) -> pd.Series:
    """Texts, "" where missing."""
    return column.astype(object).where(column.notna(), "").astype(str)


def as_dates(column: pd.Series) -> pd.Series:
    """Dates without zone, NaT where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dates = pd.to_datetime(as_text(column), errors="coerce", format="mixed", utc=True)
    return dates.dt.tz_localize(None)
