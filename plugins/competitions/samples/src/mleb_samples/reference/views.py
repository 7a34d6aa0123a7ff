"""Views: feature tables made from a competition's public files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Pair", "View", "images", "pixels", "reduced", "table", "words"]

Pair = tuple[Any, Any]
"""Features of train and test: arrays or sparse matrices of shapes (n, d) and (m, d)."""
View = Callable[[pd.DataFrame, pd.DataFrame, Path], Pair]
"""Makes features from the tables of train (without targets) and test and the public directory."""
Craft = Callable[[pd.DataFrame], pd.DataFrame]


def table(*, numbers: bool = True, categories: bool = True, share: float = 1.0, craft: Craft | None = None) -> View:
    """Numbers (median where empty, standardised) and categories (one column a value, rare ones together).

    Args:
        numbers: use columns of numbers.
        categories: use columns of text with at most 150 values; others are left out.
        share: use only this share of the columns, the first ones.
        craft: adds columns to both tables beforehand.
    """

    def view(train: pd.DataFrame, test: pd.DataFrame, _: Path) -> Pair:
        from sklearn.compose import make_column_transformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler

        if craft is not None:
            train, test = craft(train.copy()), craft(test.copy())
        train = train.drop(columns="id")
        train = train[list(train)[: max(1, round(len(train.columns) * share))]]
        number = [c for c in train if numbers and pd.api.types.is_numeric_dtype(train[c])]
        text = [c for c in train if categories and c not in number and train[c].nunique() <= 150]
        text = [c for c in text if not pd.api.types.is_numeric_dtype(train[c])]
        encode = OneHotEncoder(min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False)
        scale = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
        transform = make_column_transformer((scale, number), (encode, text))
        return transform.fit_transform(train), transform.transform(test)

    return view


def words(column: str, **options: Any) -> View:
    """TF-IDF weights of a text column; options as TfidfVectorizer takes them."""

    def view(train: pd.DataFrame, test: pd.DataFrame, _: Path) -> Pair:
        from sklearn.feature_extraction.text import TfidfVectorizer

        transform = TfidfVectorizer(**options)
        return transform.fit_transform(train[column]), transform.transform(test[column])

    return view


def images(paths: Sequence[Path]) -> np.ndarray:
    """Grey images of equal size as floats from 0 to 1, shape (n, height, width)."""
    from PIL import Image

    return np.stack([np.asarray(Image.open(path).convert("L"), dtype=float) / 255 for path in paths])


def pixels(change: Callable[[np.ndarray], np.ndarray] | None = None) -> View:
    """Pixels of the images that the column `file` names.

    Args:
        change: from images of shape (n, height, width) to another array of n.
    """

    def view(train: pd.DataFrame, test: pd.DataFrame, public: Path) -> Pair:
        parts = [images([public / file for file in part["file"]]) for part in (train, test)]
        first, second = (part if change is None else change(part) for part in parts)
        return first.reshape(len(first), -1), second.reshape(len(second), -1)

    return view


def reduced(view: View, components: int) -> View:
    """Another view's main components, standardised."""

    def smaller(train: pd.DataFrame, test: pd.DataFrame, public: Path) -> Pair:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        first, second = view(train, test, public)
        transform = make_pipeline(TruncatedSVD(components, random_state=0), StandardScaler())
        return transform.fit_transform(first), transform.transform(second)

    return smaller
