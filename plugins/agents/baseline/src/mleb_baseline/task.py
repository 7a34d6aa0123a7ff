"""What the agent understands of a task."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
import pandas as pd

from mleb_baseline.metric import Metric

__all__ = ["Form", "Kind", "Target", "Task"]

Form = Literal["label", "probability", "per_class", "ranked", "number"]
Kind = Literal["class", "ordinal", "number"]


@dataclass
class Target:
    """One thing to predict."""

    name: str
    """Column of the train table, or a name for people."""
    outputs: list[str]
    """Columns of the sample submission that it fills; several only where the form is "per_class"."""
    form: Form
    """What stands in them: a label; the positive class's probability; a probability a class, `outputs` in the order
    of `classes`; labels by falling probability, separated by spaces; a number."""
    kind: Kind
    """class: unordered classes; ordinal: classes that are whole numbers; number."""
    truth: npt.NDArray[Any]
    """Class indices (train rows,), -1 where unknown; for numbers floats, NaN where unknown."""
    classes: list[str] = field(default_factory=list)
    """Classes as a submission spells them; ordinal: ascending."""
    values: list[float] = field(default_factory=list)
    """Ordinal: the classes as numbers."""
    positive: int = 1
    """The class whose probability is wanted, for the form "probability"."""
    top: int = 1
    """Number of labels, for the form "ranked"."""
    whole: bool = False
    """Numbers are whole in train and in the sample."""
    metric: Metric = Metric("rmse")  # noqa: RUF009
    """What to optimise."""


@dataclass
class Task:
    """A competition as it was understood."""

    data: Path
    """The public data."""
    sample: pd.DataFrame
    """The sample submission, every cell as text."""
    ids: list[str]
    """Columns of the sample that name a row."""
    train: pd.DataFrame | None
    """Train table without targets; None: nothing to learn from."""
    test: pd.DataFrame
    """One row for each row of the sample, in its order; the sample's ids alone where there is no test table."""
    targets: list[Target]
    """What is predicted; outputs that no target fills stay as in the sample."""
    id_columns: list[str]
    """Columns of train and test that name a row."""
    metric: Metric | None
    """As the description names it."""
    notes: list[str] = field(default_factory=list)
    """One line for each thing that had to be guessed or could not be used."""
