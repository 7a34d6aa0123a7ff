"""Graders of boxes whose rules need the answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mleb_core.errors import GraderError, InvalidSubmissionError
from mleb_core.grading.table import CheckedTable, Pairing
from mleb_vision.graders import CellGrader, ReadTable, refusal

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from mleb_core.grading.protocol import GradingTask
    from mleb_vision.items import Items

__all__ = ["PooledBoxGrader", "UprightBoxGrader"]


class UprightBoxGrader(CellGrader):
    """A grader of upright boxes in space.

    `validate` refuses every broken box (`boxes3d.broken_boxes`). `grade` refuses those of classes that the image's
    truth has; others, as published, may hold anything unless the option `absent_classes` is "zero". What is valid for
    an agent that asks thus never tells which classes an image has.
    """

    def validate(self, submission: Path, task: "GradingTask") -> None:
        """Check the format alone; see `Grader.validate`."""
        table = self.check(submission, task)
        _refuse_broken(table, table.content, task)

    def score(self, table: CheckedTable, task: "GradingTask", options: Mapping[str, Any]) -> float:
        """Refuse broken boxes, then apply the metric."""
        import numpy as np

        from mleb_vision.boxes3d import read_boxes
        from mleb_vision.items import group_codes

        assert isinstance(table, ReadTable)
        boxes: Items = table.content
        if options.get("absent_classes") != "zero":
            mine, true = group_codes(boxes, read_boxes(self.truth(table, task)))
            boxes = boxes.take(np.isin(mine, true))
        _refuse_broken(table, boxes, task)
        return super().score(table, task, options)


class PooledBoxGrader(CellGrader):
    """A grader of boxes in a plane where an image may have several rows, whose boxes are pooled.

    The answers hold one true box a row (`coco.read_truth`). Every image must have a row.
    """

    def align(self, given: Pairing) -> "tuple[pd.DataFrame, npt.NDArray[Any]]":
        """All rows as they stand, each with an answer of its image; see `TableGrader.align`."""
        import numpy as np
        import pandas as pd

        from mleb_core.grading.ids import row_name

        table, answers, task = given.table, given.answers, given.task
        if given.scored is not None or len(task.grading.id) != 1:
            raise GraderError(f"{task.competition_id}: grader {self.id} takes one id column and scores all rows")
        (name,) = task.grading.id
        true = answers[name].astype(str)
        first = np.flatnonzero(~true.duplicated().to_numpy())
        place = pd.Index(true.iloc[first]).get_indexer(pd.Index(table[name].astype(str)))
        for row in np.flatnonzero(place < 0)[:1]:
            raise InvalidSubmissionError(
                f"{row_name(table, [name], int(row))}: the id is unknown; the sample submission has the ids"
            )
        if missing := len(first) - len(np.unique(place)):
            raise InvalidSubmissionError(
                f"{missing:,} of {len(first):,} ids have no row; the sample submission has them"
            )
        return answers.iloc[first[place]], np.arange(len(table))

    def score(self, table: CheckedTable, task: "GradingTask", options: Mapping[str, Any]) -> float:
        """Pool the boxes by image, then apply the metric."""
        import numpy as np
        import pandas as pd

        from mleb_core.grading.options import split_options
        from mleb_core.grading.read import read_answers
        from mleb_vision.coco import read_truth
        from mleb_vision.items import Items

        assert isinstance(table, ReadTable)
        own, _ = split_options(task.grading.options)
        (name,) = task.grading.id
        answers = read_answers(task.answers, **own.read)
        images = answers[name].astype(str).unique()
        image = pd.Index(images).get_indexer(pd.Index(table.submission[name].astype(str)))
        boxes = table.content
        pooled = Items(np.asarray(image)[boxes.row], boxes.label, boxes.numbers)
        return self._metric()(read_truth(answers, name, images), pooled, **options)


def _refuse_broken(table: ReadTable, boxes: "Items", task: "GradingTask") -> None:
    """Refuse the file's first row that holds a broken box."""
    import numpy as np

    from mleb_vision.boxes3d import broken_boxes

    problems = broken_boxes(boxes)
    broken = np.flatnonzero([problem is not None for problem in problems])
    if len(broken):
        place = table.submission.index.to_numpy()[boxes.row[broken]]
        first = broken[int(np.argmin(place))]
        raise refusal(table, int(boxes.row[first]), str(problems[first]), task)
