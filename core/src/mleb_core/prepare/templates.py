"""Texts with columns in braces: "train/{id}.jpg", "{id[0]}", "{n:05d}"."""

import re
import string
from typing import Any

import pandas as pd

from mleb_core.errors import PreparationError

__all__ = ["Template"]

_FIELD = re.compile(r"([^\[\]{}]+)((?:\[\d+\])?)")


class Template:
    """A text with columns in braces.

    `{name}` is a column's value, `{name[0]}` its first character, `{name:05d}` a format; `{{` is a brace.

    Raises:
        PreparationError: a brace is not closed, or holds something else.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        columns: dict[str, int] = {}
        format_ = ""
        try:
            for literal, field, spec, conversion in string.Formatter().parse(text):
                format_ += literal.replace("{", "{{").replace("}", "}}")
                if field is None:
                    continue
                found = _FIELD.fullmatch(field)
                if found is None or conversion:
                    raise ValueError(f"{{{field}}} is no column")
                position = columns.setdefault(found[1], len(columns))
                format_ += f"{{{position}{found[2]}{':' + spec if spec else ''}}}"
        except ValueError as error:
            raise PreparationError(f"{text!r}: {error}; expected columns in braces, such as {{id}}") from None
        self.columns = tuple(columns)
        """Names of the columns, in order of appearance."""
        self._format = format_

    def values(self, frame: pd.DataFrame, name: str = "the table") -> list[str]:
        """The text for each row.

        Raises:
            PreparationError: a column is not there, a cell is missing, or a value does not fit its format.
        """
        if not self.columns:
            return [self._format.format()] * len(frame)
        cells: list[list[Any]] = []
        for column in self.columns:
            if column not in frame.columns:
                raise PreparationError(f"{self.text!r}: {name} has no column {column!r}")
            series = frame[column]
            if (gaps := series.isna()).any():
                row = int(gaps.to_numpy().argmax()) + 1
                raise PreparationError(f"{self.text!r}: column {column!r} of {name} is empty in row {row}")
            cells.append(series.tolist())
        one = self._format.format
        try:
            return [one(*row) for row in zip(*cells, strict=True)]
        except (ValueError, IndexError, TypeError) as error:
            raise PreparationError(f"{self.text!r}: a value of {name} does not fit: {error}") from None
