"""Cells of a submission: many of them, and what is wrong with one."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy.typing as npt

__all__ = ["CellError", "Texts"]

Texts: TypeAlias = Sequence[str] | npt.NDArray[Any]
"""Texts, n of them: any sequence, or an array of objects of shape (n,)."""


class CellError(Exception):
    """A cell cannot be read. The grader turns it into an InvalidSubmissionError that names row and column."""

    def __init__(self, position: int, problem: str) -> None:
        """Args:
        position: of the cell among those read, from 0.
        problem: what is wrong, one line.
        """
        self.position, self.problem = position, problem
        super().__init__(problem)
