"""The recipe, and the clean test pages as tables of pixels."""

from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, open_archive


def prepare(context: Preparation) -> None:
    """Split the pages at random. Hidden: the clean versions of the test pages.

    private/answers.csv has one row a pixel, pages in the order of their names as text, row by row: `id` is
    PAGE_ROW_COLUMN, counted from 1, `value` the grey level from 0 (black) to 1 (white). The sample is all white.
    """
    pages = sorted(context.recipe().test["page"], key="{}.png".format)
    archive = open_archive(context.raw / "train_cleaned.zip", context.work)
    with (
        (context.private / "answers.csv").open("xb") as answers,
        (context.public / "sampleSubmission.csv").open("xb") as sample,
    ):
        for page in pages:  # one at a time: all pixels at once would take gigabytes
            with archive.open(f"train_cleaned/{page}.png") as stream:
                try:
                    grey = np.asarray(Image.open(stream).convert("L"))
                except OSError as error:
                    raise PreparationError(f"train_cleaned.zip: {page}.png is no picture: {error}") from None
            rows, columns = (axis.ravel() + 1 for axis in np.indices(grey.shape))
            ids = [f"{page}_{row}_{column}" for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]
            table = pd.DataFrame({"id": ids, "value": grey.ravel() / 255.0})
            _add(table, answers, header=page == pages[0])
            _add(table.assign(value=1), sample, header=page == pages[0])


def _add(table: pd.DataFrame, stream: Any, *, header: bool) -> None:
    table.to_csv(stream, index=False, header=header, lineterminator="\n")
