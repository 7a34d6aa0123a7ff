"""Data to check submissions against that holds no answer, for whoever may ask while the answers are still secret.

A grader's `validate` reads the answers: their ids, their columns, the size of an image. What it says of a submission
could tell more than the format: which rows are scored, in which order the answers stand. So an agent's submission is
validated against other data, made once a competition:

- The rows are those of the public sample submission, in its order: ids, and its values for predictions.
- What the sample submission lacks is there as a column of one and the same value (`True`, 0 or a text, as the answers'
  column is of flags, numbers or texts), except for what a grader must know to read a cell and says that it does
  (`reading`, such as an image's height).
- Rules that depend on the answers are set aside in the stricter sense: every row must be there and be filled.

Whatever a grader says then, it cannot have it from the answers. A submission that passes is graded; one that fails here
may be valid for grading all the same where `[grading.options]` has `where`, `unscored_rows` or `unknown_ids`, or where
a grader forgives by itself: it would take the answers to know.
"""

import csv
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mleb_core.competition import Competition
from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.grade import Grade, Graders, one_line, task_of, unscored_grade
from mleb_core.grading.protocol import Grader, GradingTask
from mleb_core.grading.table import TableGrader, call_metric
from mleb_core.layout import CompetitionData, write_json

if TYPE_CHECKING:
    import pandas as pd

    from mleb_core.grading.options import TableOptions

__all__ = ["BlindsAnswers", "blind", "check_format"]

DEPENDS_ON_ANSWERS = ("where", "unscored", "unscored_rows", "unknown_ids")
"""Options of a TableGrader by which the answers decide what a submission must hold."""


@runtime_checkable
class BlindsAnswers(Protocol):
    """A grader that makes its own answers without answers; needed where they are no CSV table.

    For a grader that is no TableGrader and lacks this the sample submission stands in for the answers.
    """

    def blind_answers(self, task: GradingTask, target: Path) -> None:
        """Write a file that `validate` can take for the answers, from public facts alone.

        Args:
            task: the competition, with its true answers.
            target: the file to write.

        Raises:
            GraderError: the sample submission or the answers are not as expected.
        """
        ...


def blind(competition: Competition, data_dir: Path, target_dir: Path, registry: Graders) -> None:
    """Make the data of a competition without its answers, `check_format` takes it; whole or not at all.

    Args:
        competition: in the edition to check.
        data_dir: holds its prepared data.
        target_dir: gets a folder for it, as a data directory has it; the folder must not be there.
        registry: where its grader is found.

    Raises:
        NotPreparedError: the competition's data is not there.
        GraderError: the answers or the sample submission are missing or unfit, or the grader failed; one line.
        OSError: the folder cannot be written.
        MemoryError: there is not enough memory.
    """
    task, grader = task_of(competition, data_dir), registry.grader(competition.spec.grading.grader)
    made = CompetitionData.of(target_dir, competition.label)
    draft = CompetitionData(Path(tempfile.mkdtemp(dir=target_dir, prefix=".")))
    try:
        draft.public.mkdir(parents=True)
        draft.private.mkdir()
        # A folder of links, not a link to the folder: from it `..` leads to no true answers.
        sample = Path(task.grading.sample)
        for entry in sorted(task.public.iterdir()):
            if entry.name != sample.parts[0]:
                (draft.public / entry.name).symlink_to(entry.absolute())
        blinded = GradingTask(task.competition_id, task.edition, task.grading, draft.public, draft.private)
        blinded.answers.parent.mkdir(parents=True, exist_ok=True)
        call_metric(lambda: _write_answers(grader, task, blinded.answers), grader.id, competition.id)
        blinded.sample.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(task.sample, blinded.sample)
        write_json(draft.manifest, {}, durable=False)
        draft.root.rename(made.root)
    except BaseException:
        shutil.rmtree(draft.root, ignore_errors=True)
        raise


def check_format(submission: Path, competition: Competition, blind_dir: Path, registry: Graders) -> Grade:
    """Check a submission's format against data that `blind` made; the grade has no score.

    Args:
        submission: the file; it may be anything.
        competition: in the edition to check.
        blind_dir: the directory that `blind` wrote to.
        registry: where its grader is found.

    Raises:
        NotPreparedError: `blind` was not called.
        MemoryError: there is not enough memory.
    """
    task, grader = task_of(competition, blind_dir), registry.grader(competition.spec.grading.grader)
    if isinstance(grader, TableGrader):
        task = _strict(task)
    if not os.path.lexists(submission):
        return unscored_grade(submission, competition)
    try:
        call_metric(lambda: grader.validate(submission, task), grader.id, competition.id)
    except InvalidSubmissionError as error:
        return unscored_grade(submission, competition, reason=one_line(error))
    except GraderError as error:
        return unscored_grade(submission, competition, grader_error=one_line(error))
    return unscored_grade(submission, competition, valid=True)


def _strict(task: GradingTask) -> GradingTask:
    options = {name: value for name, value in task.grading.options.items() if name not in DEPENDS_ON_ANSWERS}
    grading = task.grading.model_copy(update={"options": options})
    return GradingTask(task.competition_id, task.edition, grading, task.public, task.private)


def _write_answers(grader: Grader, task: GradingTask, target: Path) -> None:
    if isinstance(grader, BlindsAnswers):
        grader.blind_answers(task, target)
    elif isinstance(grader, TableGrader):
        _write_table(grader, task, target)
    else:
        shutil.copyfile(task.sample, target)


def _write_table(grader: TableGrader, task: GradingTask, target: Path) -> None:
    """A table with the answers' columns and the sample submission's rows."""
    import pandas as pd

    from mleb_core.grading.options import split_options
    from mleb_core.grading.read import read_answers

    own, _ = split_options(task.grading.options)
    answers, sample = read_answers(task.answers, **own.read), read_answers(task.sample, **own.read)
    ids = list(task.grading.id)
    for table, what in ((answers, "answers have"), (sample, "sample submission has")):
        if absent := [name for name in ids if name not in table]:
            raise GraderError(f"{task.competition_id}: the {what} no id column {absent[0]!r}, which grading.id names")
    if not _same_ids(answers, sample, ids, own):
        # Ids are part of the format; the order in which the answers have them is not.
        rows = answers[ids] if own.repeated_ids else answers[ids].drop_duplicates()
        sample = (
            rows.astype(str).sort_values(ids) if len(ids) > 1 else rows.sort_values(ids, key=lambda c: c.astype(str))
        )
    reading = getattr(grader, "reading", ())
    needed = {name for keyword, names in own.extras.items() if keyword in reading for name in _names(names)}
    facts = _public_facts(answers, sample, ids, needed)
    columns = {
        name: sample[name]
        if name in sample and (name in ids or _kind(sample[name]) == _kind(answers[name]))
        else facts.get(name, _STAND_INS[_kind(answers[name])])
        for name in answers.columns
    }
    separator = str(own.read.get("sep", own.read.get("delimiter", ",")))
    # Quoted, so that whatever line breaks a text holds stay in it.
    pd.DataFrame(columns, index=sample.index).to_csv(target, index=False, sep=separator, quoting=csv.QUOTE_NONNUMERIC)


_STAND_INS: Mapping[str, Any] = {"flags": True, "numbers": 0, "texts": "x"}


def _kind(column: "pd.Series[Any]") -> str:
    import pandas as pd

    if pd.api.types.is_bool_dtype(column):
        return "flags"
    return "numbers" if pd.api.types.is_numeric_dtype(column) else "texts"


def _names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _same_ids(answers: "pd.DataFrame", sample: "pd.DataFrame", ids: list[str], own: "TableOptions") -> bool:
    """Whether the sample submission has the ids that a submission must have (more, where unknown ones are ignored)."""
    from mleb_core.grading.ids import comparable_ids

    wanted, found = (set(keys.tolist()) for keys in comparable_ids(answers, sample, ids, repeated=own.repeated_ids))
    return wanted <= found if own.unknown_ids == "ignored" else wanted == found


def _public_facts(
    answers: "pd.DataFrame", sample: "pd.DataFrame", ids: list[str], names: set[str]
) -> dict[str, "pd.Series[Any]"]:
    """Columns of the answers that are public facts, for the rows of the sample submission."""
    import pandas as pd

    from mleb_core.grading.ids import comparable_ids

    if not names:
        return {}
    wanted, found = comparable_ids(answers, sample, ids, repeated=False)
    index = pd.Index(wanted)
    first = ~index.duplicated()
    place = index[first].get_indexer(pd.Index(found))
    if (place < 0).any():
        raise GraderError("the sample submission has ids of which the answers do not say what is needed to read a cell")
    return {name: answers.loc[first, name].iloc[place].set_axis(sample.index) for name in sorted(names)}
