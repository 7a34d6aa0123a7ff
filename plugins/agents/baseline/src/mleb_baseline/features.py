"""Turns train and test rows into numbers, in the three shapes that models want.

Everything here is learned without the targets, so it may look at train and test together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from mleb_baseline.columns import as_dates, as_numbers, as_text, kind_of
from mleb_baseline.images import find_images, image_features, match_images
from mleb_baseline.task import Task

__all__ = ["Features", "build"]

Floats = npt.NDArray[np.float64]
WORD = r"(?u)\b\w+\b"


@dataclass
class Features:
    """Rows as numbers, train rows first and then test rows, a view a kind of model."""

    rows: int
    """Number of train rows."""
    tree: Floats
    """Plain numbers and codes, NaN where missing, for trees."""
    compact: Floats
    """Scaled, nothing missing, few columns, for distances and networks."""
    linear: Any
    """Scaled, nothing missing, maybe sparse (csr) with a column a word, for linear models."""
    codes: list[int]
    """Columns of `tree` that are codes of many-valued categories."""
    groups: npt.NDArray[np.int64] | None = None
    """Group of each train row, where test has other groups than train."""
    order: npt.NDArray[np.int64] | None = None
    """Train rows from early to late, where all of test is later than train."""
    has_text: bool = False
    """`linear` holds words."""
    has_images: bool = False
    """There are images."""
    notes: list[str] = field(default_factory=list)
    """What was found, a line each."""

    def view(self, name: str) -> Any:
        """The view called `name`: "tree", "compact" or "linear"."""
        return getattr(self, name)


@dataclass
class _Parts:
    """Blocks of columns as they are collected."""

    tree: list[Floats] = field(default_factory=list)
    scaled: list[Floats] = field(default_factory=list)
    reduced: list[Floats] = field(default_factory=list)
    words: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def add_tree(self, block: Floats, *, code: bool = False) -> None:
        if code:
            self.codes.append(sum(b.shape[1] for b in self.tree))
        self.tree.append(block.reshape(len(block), -1))


def build(task: Task, seed: int, keep_on: Callable[[], bool]) -> Features | None:
    """All features of a task; None where there is nothing to learn from.

    Args:
        task: with a train table.
        seed: seeds random projections.
        keep_on: asked now and then while images are read; False stops that.
    """
    assert task.train is not None
    train, test = task.train, task.test
    parts, notes = _Parts(), []
    groups: npt.NDArray[np.int64] | None = None
    order: npt.NDArray[np.int64] | None = None
    for column in [c for c in train.columns if c in test.columns]:
        kind = kind_of(train[column], test[column])
        both = pd.concat([train[column], test[column]], ignore_index=True)
        names_rows = column in task.id_columns
        if names_rows and kind != "date" and train[column].nunique() > 0.9 * len(train):
            continue
        if kind == "date":
            dates = as_dates(both)
            _add_dates(parts, dates)
            if dates[len(train) :].min() > dates[: len(train)].max():
                order = np.argsort(dates[: len(train)].to_numpy(), kind="stable")
                notes.append(f"{column}: test is later than train; validated forward in time")
            elif _is_group(train[column], test[column]):
                groups = pd.factorize(as_text(train[column]))[0].astype(np.int64)
                notes.append(f"{column}: test has other values than train; validated by group")
            continue
        if kind in ("number", "category", "code") and _is_group(train[column], test[column]):
            groups = pd.factorize(as_text(train[column]))[0].astype(np.int64)
            notes.append(f"{column}: test has other values than train; validated by group")
            if kind != "code":
                continue
        if kind == "number":
            _add_numbers(parts, as_numbers(both), column)
        elif kind == "category":
            _add_category(parts, as_text(both))
        elif kind == "code":
            _add_code(parts, as_text(both), len(train))
        elif kind == "text":
            _add_text(parts, as_text(both), seed)
    has_images = _add_images(parts, task, seed, keep_on, notes)
    return _assemble(parts, len(train), groups=groups, order=order, has_images=has_images, notes=notes)


def _assemble(
    parts: _Parts,
    rows: int,
    *,
    groups: npt.NDArray[np.int64] | None,
    order: npt.NDArray[np.int64] | None,
    has_images: bool,
    notes: list[str],
) -> Features | None:
    if not parts.tree:
        return None
    scaled = [np.hstack(parts.scaled)] if parts.scaled else []
    compact = np.hstack([*scaled, *parts.reduced])
    linear: Any = compact
    if parts.words:
        dense = [sparse.csr_matrix(block) for block in scaled]
        linear = sparse.hstack([*dense, *parts.words], format="csr")
    return Features(
        rows=rows,
        tree=np.hstack(parts.tree),
        compact=compact,
        linear=linear,
        codes=parts.codes,
        groups=groups,
        order=order,
        has_text=bool(parts.words),
        has_images=has_images,
        notes=notes,
    )


def _is_group(train: pd.Series, test: pd.Series) -> bool:
    """Values repeat within train, and none of them comes up in test."""
    different = train.nunique()
    if not 5 <= different <= len(train) / 2 or pd.api.types.is_float_dtype(train):
        return False
    return not set(train.dropna().unique()) & set(test.dropna().unique())


def _scaled(values: Floats) -> Floats:
    """Zero mean and unit spread; missing becomes the mean; long tails are drawn in."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros((len(values), 1))
    middle = float(np.median(known))
    filled = np.where(np.isfinite(values), values, middle)
    spread = float(filled.std()) or 1.0
    if abs(float(((filled - filled.mean()) ** 3).mean()) / spread**3) > 3:
        width = float(np.subtract(*np.percentile(known, [75, 25]))) or spread
        filled = np.arcsinh((filled - middle) / width)
        spread = float(filled.std()) or 1.0
    clipped: Floats = np.clip((filled - filled.mean()) / spread, -8, 8).reshape(-1, 1)
    return clipped


def _add_numbers(parts: _Parts, values: Floats, name: str) -> None:
    known = values[np.isfinite(values)]
    if not len(known):
        return
    parts.add_tree(values)
    parts.scaled.append(_scaled(values))
    missing = ~np.isfinite(values)
    if 0.01 < missing.mean() < 0.99:
        parts.scaled.append(missing.astype(float).reshape(-1, 1))
    whole = bool((known == np.round(known)).all())
    different = np.unique(known)
    if whole and 2 < len(different) <= 12:
        parts.scaled.append((values[:, None] == different[None, :]).astype(float))
    low = name.lower()
    clock = whole and "time" in low and known.min() >= 0 and known.max() <= 2400 and bool((known % 100 < 60).all())
    if clock and len(different) > 60:  # hours and minutes written as one number
        minutes = values // 100 * 60 + values % 100
        parts.add_tree(minutes)
        _add_cycle(parts, minutes, 1440.0)
    for word, period in (("hour", 24.0), ("month", 12.0), ("wind_dir", 360.0), ("angle", 360.0), ("direction", 360.0)):
        if word in low and known.min() >= 0 and period * 0.4 < known.max() <= period:
            _add_cycle(parts, values, period)


def _add_cycle(parts: _Parts, values: Floats, period: float) -> None:
    turn = np.where(np.isfinite(values), values, 0) * 2 * np.pi / period
    known = np.isfinite(values)
    parts.scaled.append(np.column_stack([np.sin(turn) * known, np.cos(turn) * known]))
    parts.scaled.append(np.column_stack([np.sin(2 * turn) * known, np.cos(2 * turn) * known]))


def _add_dates(parts: _Parts, dates: pd.Series) -> None:
    day = dates.dt.normalize()
    ordinal = (dates - pd.Timestamp("2000-01-01")).dt.total_seconds().to_numpy(dtype=float) / 86400
    parts.add_tree(ordinal)
    parts.scaled.append(_scaled(ordinal))
    year_day = dates.dt.dayofyear.to_numpy(dtype=float, na_value=np.nan)
    for values, period in ((year_day, 365.25), (dates.dt.dayofweek.to_numpy(dtype=float, na_value=np.nan), 7.0)):
        parts.add_tree(values)
        _add_cycle(parts, values, period)
    for values in (dates.dt.month, dates.dt.day, dates.dt.year):
        parts.add_tree(values.to_numpy(dtype=float, na_value=np.nan))
    if (dates != day).any():
        hours = ((dates - day).dt.total_seconds() / 3600).to_numpy(dtype=float)
        parts.add_tree(hours)
        _add_cycle(parts, hours, 24.0)


def _one_hot(texts: pd.Series, most: int, least: int) -> Floats:
    counts = texts.value_counts()
    values = list(counts[counts >= least].index[:most])
    return (
        np.column_stack([(texts == v).to_numpy(dtype=float) for v in values]) if values else np.zeros((len(texts), 0))
    )


def _add_category(parts: _Parts, texts: pd.Series) -> None:
    parts.add_tree(pd.factorize(texts, sort=True)[0].astype(float), code=texts.nunique() > 8)
    flags = _one_hot(texts, 40, 2)
    if flags.shape[1] and texts.nunique() <= 12:
        parts.add_tree(flags)
    parts.scaled.append(flags)


def _add_code(parts: _Parts, texts: pd.Series, rows: int) -> None:
    """Many-valued short texts, such as a cabin or a tail number: what they begin with, their number, how often."""
    known = (texts != "").to_numpy(dtype=bool)
    letters = texts.str.extract(r"^([^\W\d_]*)", expand=False).fillna("")
    number = as_numbers(texts.str.extract(r"(\d+)", expand=False))
    count = as_numbers(texts.map(texts.value_counts()))
    count = np.where(known, count, np.nan)
    length = as_numbers(texts.str.len())
    for values in (number, count, length):
        if len(np.unique(values[np.isfinite(values)])) > 1:
            parts.add_tree(values)
            parts.scaled.append(_scaled(values))
    parts.scaled.append((~known).astype(float).reshape(-1, 1))
    if 1 < letters.nunique() <= 200:
        _add_category(parts, letters)
    in_both = set(texts[:rows]) & set(texts[rows:])
    if in_both:
        frequent = texts.where(texts.isin(in_both), "")
        parts.add_tree(pd.factorize(frequent, sort=True)[0].astype(float), code=True)
        parts.scaled.append(_one_hot(frequent, 100, 5))


def _add_text(parts: _Parts, texts: pd.Series, seed: int) -> None:
    words = as_numbers(texts.str.count(r"\S+"))
    marks = {"length": as_numbers(texts.str.len()), "words": words}
    marks["capitals"] = as_numbers(texts.str.count(r"[A-Z]"))
    marks["digits"] = as_numbers(texts.str.count(r"\d"))
    marks["stops"] = as_numbers(texts.str.count(r"[.,;:!?]"))
    for values in marks.values():
        parts.add_tree(values)
        parts.scaled.append(_scaled(values))
    longest = 200_000 if len(texts) < 20_000 else 60_000
    grams = [
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=longest, sublinear_tf=True, token_pattern=WORD),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, max_features=longest, sublinear_tf=True),
    ]
    short = texts.str.slice(0, 3000) if len(texts) * float(words.mean()) > 2e6 else texts
    blocks = []
    for gram in grams:
        try:
            blocks.append(gram.fit_transform(short).astype(np.float64))
        except ValueError:
            continue  # no word comes up twice
    if not blocks:
        return
    parts.words += blocks
    joined = sparse.hstack(blocks, format="csr")
    size = int(min(60, joined.shape[1] - 1, joined.shape[0] - 1))
    if size >= 2:
        reduced = TruncatedSVD(size, random_state=seed).fit_transform(joined)
        parts.add_tree(reduced)
        parts.reduced.append(reduced / (reduced.std(axis=0) + 1e-9))


def _add_images(parts: _Parts, task: Task, seed: int, keep_on: Callable[[], bool], notes: list[str]) -> bool:
    assert task.train is not None
    images = find_images(task.data)
    if not images:
        return False
    train, test = match_images(images, task.train, "train"), match_images(images, task.test, "test")
    if train is None or test is None:
        notes.append(f"{len(images)} images, but no column names them")
        return False
    table, _ = image_features([*train, *test], keep_on)
    found = np.isfinite(table[:, 0]) if table.shape[1] else np.zeros(0, dtype=bool)
    if not found.any():
        notes.append("images that cannot be read")
        return False
    table = np.where(np.isfinite(table), table, np.nanmean(table[found], axis=0))
    table = table[:, table.std(axis=0) > 1e-6]
    if not table.shape[1]:
        return False
    notes.append(f"{int(found.sum())} images read")
    parts.add_tree(table)
    centred = table - table.mean(axis=0)
    size = int(min(120, *centred.shape))
    reduced = PCA(size, random_state=seed).fit_transform(centred / np.sqrt(centred.var(axis=0).mean()))
    keep = np.cumsum(reduced.var(axis=0)) / reduced.var(axis=0).sum() < 0.995
    reduced = reduced[:, keep] if keep.sum() >= 2 else reduced
    parts.reduced.append(reduced / np.sqrt(reduced.var(axis=0).mean()))
    return True
