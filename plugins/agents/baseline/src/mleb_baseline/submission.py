"""Writes the submission in the exact form of the sample, whole or not at all."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from mleb_baseline.guard import Guard

__all__ = ["Submission"]


class Submission:
    """submission.csv: the sample, with columns replaced as predictions come in."""

    def __init__(self, folder: Path, sample: pd.DataFrame, guard: Guard) -> None:
        """Args:
        folder: where submission.csv goes.
        sample: the sample submission as text.
        guard: its lock is held while writing.
        """
        self.folder, self.table, self.guard = folder, sample.copy(), guard

    def put(self, columns: Mapping[str, Sequence[str]]) -> None:
        """Replace columns and write the file.

        Args:
            columns: texts by column, one a row.

        Raises:
            OSError: the file cannot be written; the former one stands.
        """
        for name, values in columns.items():
            self.table[name] = list(values)
        part = self.folder / ".submission.csv.part"
        with self.guard.lock:
            self.table.to_csv(part, index=False, lineterminator="\n")
            os.replace(part, self.folder / "submission.csv")  # noqa: PTH105
            self.guard.handed_in = True
