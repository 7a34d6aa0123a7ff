"""The grader of nearly all competitions: rows named by ids, target columns, a metric.

Two files make a grader of a plugin:

    metric.py   def agreement(truth, predicted): return float((truth == predicted).mean())
    hooks.py    @hookimpl
                def mleb_register_graders():
                    return [TableGrader("agreement", "my_pack.metric:agreement", True, "Share of rows that agree.")]
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mleb_core.errors import GraderError, InvalidSubmissionError, MlebError

if TYPE_CHECKING:  # a plugin's hooks.py comes here, so nothing heavy loads before it is needed
    import numpy.typing as npt
    import pandas as pd

    from mleb_core.competition_spec import Column
    from mleb_core.grading.options import TableOptions
    from mleb_core.grading.protocol import GradingTask

    Array = npt.NDArray[Any]

__all__ = ["CheckedTable", "Pairing", "TableGrader", "call_metric", "finite_score"]


@dataclass(frozen=True)
class CheckedTable:
    """A submission that passed all checks, beside the answers: n scored rows in the answers' order."""

    source: "pd.DataFrame"
    """The submission, or its scored rows alone."""
    answers: "pd.DataFrame"
    """All columns of the scored rows, shape (n, ...). Do not change it."""
    cells: "Mapping[str, Array]"
    """The target columns, converted, each of shape (n,)."""
    predicted: "Array"
    """The target columns side by side, (n,) for one, (n, k) for k."""
    extras: "Mapping[str, Array]"
    """What the option `extras` asks for, by keyword."""
    order: "Array | None" = None
    """Positions of the scored rows in `source`, shape (n,); None: all, as they stand."""

    @cached_property
    def submission(self) -> "pd.DataFrame":
        """All columns of the scored rows, shape (n, ...); the index is a row's place in the file, from 0."""
        return self.source if self.order is None else self.source.iloc[self.order]


@dataclass(frozen=True)
class Pairing:
    """What `TableGrader.align` gets: a submission and the answers, of which rows are to be paired."""

    table: "pd.DataFrame"
    """The submission; it has all columns that it must have."""
    answers: "pd.DataFrame"
    """The truth, n rows. Do not change it."""
    scored: "Array | None"
    """Which rows of the answers are scored, shape (n,) of bool; None: all."""
    task: "GradingTask"
    """The competition."""
    own: "TableOptions"
    """Its options."""


class TableGrader:
    """Checks a table by declared rules, aligns it by id, and applies a metric.

    Rules come from `[grading]` (ids, columns) and from those options that `options.TableOptions` lists; all other
    options are handed to the metric as keywords. Columns are matched by name, rows by id, further columns are
    ignored. Where a submission is a table that needs more than a metric of arrays, override `score`.
    """

    def __init__(
        self,
        id: str,
        metric: "str | Callable[..., float]",
        higher_is_better: bool,
        summary: str,
        column: "Column | Mapping[str, Any] | None" = None,
        *,
        as_kept: Literal["text", "label"] | None = None,
    ) -> None:
        """Args:
        id: what competitions name.
        metric: `metric(truth, predicted, **options) -> float`, or where to import it from: "package.module:function".
            It gets arrays of shape (n,) for one target column, (n, k) for k columns.
        higher_is_better: direction of the score.
        summary: one line for listings.
        column: rule of the target columns where a competition declares none; a table as in competition.toml or a
            `Column`; None: any finite number.
        as_kept: a single column of this type comes as pandas keeps it (see `cells.check_cells`), so that a metric
            that can take that needs no Python string for each cell.
        """
        self.id = id
        self.metric = metric
        self.higher_is_better = higher_is_better
        self.summary = summary
        self.column = column
        self.as_kept = as_kept

    def __repr__(self) -> str:
        return f"TableGrader({self.id!r})"

    def validate(self, submission: Path, task: "GradingTask") -> None:
        """Check the format alone; see `Grader.validate`."""
        self.check(submission, task)

    def grade(self, submission: Path, task: "GradingTask") -> float:
        """Check and score; see `Grader.grade`."""
        from mleb_core.grading.options import split_options

        _, options = split_options(task.grading.options)
        table = self.check(submission, task)
        score = call_metric(lambda: self.score(table, task, {**options, **table.extras}), self.id, task.competition_id)
        return finite_score(score, self.id)

    def score(self, table: CheckedTable, task: "GradingTask", options: Mapping[str, Any]) -> float:
        """Score a checked table; the hook for graders that are more than a metric.

        Args:
            table: the scored rows.
            task: the competition.
            options: the metric's options and the extras.
        """
        return self._metric()(self.truth(table, task), table.predicted, **options)

    def truth(self, table: CheckedTable, task: "GradingTask") -> "Array":
        """The truth of the scored rows, shape (n,) or (n, k).

        Raises:
            GraderError: the answers lack a column or hold what their rule does not allow.
        """
        from mleb_core.grading.cells import stack, truth_cells
        from mleb_core.grading.options import split_options

        own, _ = split_options(task.grading.options)
        rules = self._rules(table.answers, task, own)
        if own.truth is None:
            cells = truth_cells(table.answers, rules, missing_text=own.missing_text, as_kept=self._kept(rules, own))
            return stack(cells.values())
        names = (own.truth,) if isinstance(own.truth, str) else own.truth
        if len(names) == len(rules):
            renamed = dict(zip(names, rules.values(), strict=True))
            return stack(truth_cells(table.answers, renamed, missing_text=own.missing_text).values())
        return _columns(table.answers, own.truth, "truth")

    def check(self, submission: Path, task: "GradingTask") -> CheckedTable:
        """All checks of `validate`; gives the scored rows.

        Raises:
            InvalidSubmissionError: names the first row and column that break a rule, never an answer.
            GraderError: the answers are missing or do not fit what competition.toml declares.
        """
        import numpy as np

        from mleb_core.grading.cells import check_cells, check_row_sums, stack
        from mleb_core.grading.ids import check_columns
        from mleb_core.grading.options import split_options
        from mleb_core.grading.read import read_answers, read_submission

        own, _ = split_options(task.grading.options)
        ids = task.grading.id
        answers = read_answers(task.answers, **own.read)
        rules = self._rules(answers, task, own)
        table = read_submission(submission, **own.read)
        needed = [*rules, *(name for name in own.required_columns if name not in rules)]
        check_columns(table, ids, needed, extra=own.extra_columns, order=own.column_order)
        scored = self.scored(answers, own)
        answers, order = self.align(Pairing(table, answers, scored, task, own))
        rows = None
        if own.unknown_ids == "ignored" or (scored is not None and own.unscored != "checked"):
            known, rows = (np.zeros(len(table), dtype=bool) for _ in range(2))
            known[order[order >= 0]] = True
            checked = order if scored is None or own.unscored == "checked" else order[scored]
            rows[checked[checked >= 0]] = True
            if own.unscored == "gaps":
                gaps = {name: rule.model_copy(update={"missing": True}) for name, rule in rules.items()}
                check_cells(table, gaps, ids=ids, rows=known & ~rows, answers=answers, missing_text=own.missing_text)
        cells = check_cells(
            table,
            rules,
            ids=ids,
            rows=rows,
            answers=answers,
            refuse_numbers=own.refuse_numbers,
            missing_text=own.missing_text,
            as_kept=self._kept(rules, own),
        )
        if own.row_sum is not None:
            check_row_sums(cells, own.row_sum.value, own.row_sum.tolerance, table, ids=ids, rows=rows)
        if scored is not None:
            answers, order = answers[scored], order[scored]
        # Cells hold the looked-at rows only, so positions move up.
        positions = order if rows is None else (np.cumsum(rows) - 1)[order]
        in_order = len(positions) == len(table) and bool((positions == np.arange(len(positions))).all())
        if not in_order:
            cells = {name: values[positions] for name, values in cells.items()}
        extras = {keyword: _columns(answers, names, f"extras.{keyword}") for keyword, names in own.extras.items()}
        return CheckedTable(table, answers, cells, stack(cells.values()), extras, None if in_order else order)

    def scored(self, answers: "pd.DataFrame", own: "TableOptions") -> "Array | None":
        """Which rows of the answers are scored, shape (n,) of bool; None: all. By `where`; override for other rules.

        Raises:
            GraderError: the answers do not fit the rule, or no row is left.
        """
        return _scored(answers, own)

    def align(self, given: Pairing) -> "tuple[pd.DataFrame, Array]":
        """The answers, and for each of their rows the position of the submission's row, -1 where none is needed.

        By id, each once; override for other rules.

        Raises:
            InvalidSubmissionError: as in `ids.align_by_id`.
        """
        from mleb_core.grading.ids import align_by_id

        own, scored = given.own, given.scored
        return given.answers, align_by_id(
            given.table,
            given.answers,
            given.task.grading.id,
            repeated=own.repeated_ids,
            unknown=own.unknown_ids,
            optional=~scored if scored is not None and own.unscored_rows == "optional" else None,
            sample=lambda: _sample(given.task, own),
        )

    def _kept(self, rules: "Mapping[str, Column]", own: "TableOptions") -> bool:
        """Whether the target column and its truth come as they are kept: both or none, so that they compare."""
        return own.truth is None and [rule.type for rule in rules.values()] == [self.as_kept]

    def _rules(self, answers: "pd.DataFrame", task: "GradingTask", own: "TableOptions") -> "dict[str, Column]":
        from mleb_core.competition_spec import Column
        from mleb_core.grading.cells import column_rules

        if absent := [name for name in task.grading.id if name not in answers]:
            raise GraderError(
                f"{task.competition_id}: the answers have no id column {absent[0]!r}, which grading.id names"
            )
        default = Column.model_validate(self.column) if isinstance(self.column, Mapping) else self.column
        rules = column_rules(task.grading.columns, list(answers.columns), task.grading.id, default)
        if not rules:
            raise GraderError(f"{task.competition_id}: the answers have no target column; see grading.columns")
        if own.truth is None and (absent := [name for name in rules if name not in answers]):
            raise GraderError(
                f"{task.competition_id}: the answers have no column {absent[0]!r}, which grading.columns declares"
            )
        return rules

    def _metric(self) -> Callable[..., float]:
        if callable(self.metric):
            return self.metric
        module, _, name = self.metric.partition(":")
        try:
            function: Callable[..., float] = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise GraderError(f"grader {self.id}: no metric {self.metric!r} (module:function): {error}") from None
        return function


def call_metric(compute: Callable[[], Any], grader: str, competition: str) -> Any:
    """Call a grader's own code, so that its faults never look like a bad submission.

    Args:
        compute: what to call.
        grader: the grader's id, for messages.
        competition: the competition's id, for messages.

    Raises:
        InvalidSubmissionError: as `compute` raises it.
        GraderError: `compute` raised anything else; one line.
        MemoryError: as `compute` raises it; whose fault that is depends on the limit.
    """
    try:
        return compute()
    except (MlebError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split())[:300]
        raise GraderError(f"grader {grader} failed on {competition}: {type(error).__name__}: {text}") from error


def finite_score(score: Any, grader: str) -> float:
    """The score as a float.

    Raises:
        InvalidSubmissionError: it is NaN or infinite.
        GraderError: it is no number.
    """
    try:
        value = float(score)
    except (TypeError, ValueError):
        raise GraderError(f"grader {grader} gave {score!r:.60} for a score; a number is expected") from None
    if not isfinite(value):
        raise InvalidSubmissionError(f"these predictions have no finite score ({grader} gives {value})")
    return value


def _scored(answers: "pd.DataFrame", own: "TableOptions") -> "Array | None":
    """Which rows of the answers are scored, shape (n,) of bool; None: all."""
    import numpy as np

    if own.where is None:
        return None
    try:
        scored = np.zeros(len(answers), dtype=bool)
        scored[answers.query(own.where).index.to_numpy()] = True
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise GraderError(f"grading.options.where = {own.where!r} does not fit the answers: {text}") from None
    if not scored.any():
        raise GraderError(f"grading.options.where = {own.where!r} leaves no row of the answers")
    return scored


def _columns(answers: "pd.DataFrame", names: str | tuple[str, ...], option: str) -> "Array":
    """Columns of the answers as they were read, (n,) for a name, (n, k) for k names."""
    for name in (names,) if isinstance(names, str) else names:
        if name not in answers:
            raise GraderError(f"grading.options.{option}: the answers have no column {name!r}")
    found: Array = answers[names if isinstance(names, str) else list(names)].to_numpy()
    return found


def _sample(task: "GradingTask", own: "TableOptions") -> "pd.DataFrame | None":
    """The sample submission, where there is one that can be read."""
    from mleb_core.grading.read import read_answers

    try:
        return read_answers(task.sample, **own.read)
    except GraderError:
        return None
