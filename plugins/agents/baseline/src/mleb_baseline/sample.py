"""Finds the sample submission."""

import re
from pathlib import Path

import pandas as pd

from mleb_baseline.tables import Source, UnreadableError, find_tables

__all__ = ["NoSampleError", "find_sample", "is_sample"]


class NoSampleError(Exception):
    """There is no sample submission that can be read; the message is one line."""


def find_sample(data: Path) -> tuple[pd.DataFrame, Source, list[Source]]:
    """The sample submission with all cells as text, where it was, and all tables.

    Raises:
        NoSampleError: there is none, or none that can be read.
    """
    tables = find_tables(data)
    problems = []
    for source in sorted((t for t in tables if is_sample(t)), key=lambda t: (len(t.name), t.label)):
        try:
            sample = source.read(as_text=True)
        except UnreadableError as error:
            problems.append(str(error))
            continue
        if len(sample) and len(sample.columns) >= 2:
            return sample, source, tables
        problems.append(f"{source.label} has {len(sample)} rows and {len(sample.columns)} columns")
    reason = "; ".join(problems) if problems else f"there is none in {data}"
    raise NoSampleError(f"no sample submission: {reason}")


def is_sample(source: Source) -> bool:
    """Whether a table is a sample submission by its name, or that of the zip it is in."""
    names = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (source.name, source.path.name))
    return any(re.search(r"sample.*sub|sub.*sample|submissionformat", name) for name in names)
