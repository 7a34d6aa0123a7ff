"""The samples of the fourth training archive are the test set; their lists of gestures are hidden."""

import random
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, need_columns, open_archive, read_csv, write_archive, write_csv
from mleb_core.prepare.archives import ArchiveReader

TEST_ARCHIVE = "training4.tar.gz"


def prepare(context: Preparation) -> None:
    """Split training.csv by the samples that lie in `TEST_ARCHIVE`; the recipe passes the archives on.

    Edition 2 empties the field Labels of the MAT files in test.tar.gz, which edition 1 passes on as it is.
    """
    context.recipe()
    archive = open_archive(context.raw / TEST_ARCHIVE, context.work)
    test_ids = sorted(name[-8:-4] for name in archive.names() if re.fullmatch(r"[^/]+\.zip", name))
    lists = read_csv(context.raw / "training.csv", dtype={"Id": "text", "Sequence": "text"})
    need_columns(lists, ["Id", "Sequence"], "training.csv")
    is_test = lists["Id"].isin(test_ids).to_numpy()
    if not test_ids or sorted(lists["Id"][is_test]) != test_ids:
        raise PreparationError(
            f"training.csv: expected one row for each of the {len(test_ids)} samples in {TEST_ARCHIVE}"
        )

    write_csv(lists[~is_test], context.public / "training.csv")
    write_csv(lists[is_test], context.private / "test.csv")
    ids = pd.DataFrame({"Id": test_ids})
    write_csv(ids, context.public / "test.csv")
    draw = random.Random(0)
    guesses = [" ".join(map(str, draw.sample(range(1, 21), 20))) for _ in test_ids]
    write_csv(ids.assign(Sequence=guesses), context.public / "randomPredictions.csv")
    if context.edition > 1:
        write_archive(context.public / "test.tar.gz", _samples_without_labels(archive, context))


def _samples_without_labels(archive: ArchiveReader, context: Preparation) -> Iterator[tuple[str, bytes]]:
    """The members of the test archive, rid of labels."""
    for name in archive.names():
        context.progress(f"taking the labels out of {name}")
        content = archive.read(name)
        try:
            yield name, _sample_without_labels(content) if name.endswith(".zip") else content
        except BadZipFile as error:
            raise PreparationError(f"{archive.path}: {name} is broken ({error}); get it again") from None


def _sample_without_labels(sample: bytes) -> bytes:
    """A sample's zip; a MAT file in it that cannot be read, so that nobody knows what it tells, is left out."""
    result = BytesIO()
    with ZipFile(BytesIO(sample)) as old, ZipFile(result, "w", ZIP_DEFLATED) as new:
        for info in old.infolist():
            if info.is_dir():
                continue
            content: bytes | None = old.read(info)
            if info.filename.endswith(".mat"):
                content = _mat_without_labels(content or b"")
            if content is not None:
                new.writestr(info, content)  # with the date of the old one: the same bytes each time
    return result.getvalue()


def _mat_without_labels(mat: bytes) -> bytes | None:
    """A MAT file with the field Labels of each of its structs emptied; None where it cannot be read."""
    import numpy as np
    import scipy.io

    matlab: Any = scipy.io  # its stubs know paths only
    try:
        variables = matlab.loadmat(BytesIO(mat))
    except Exception:
        return None
    variables = {name: value for name, value in variables.items() if not name.startswith("__")}
    for value in variables.values():
        for field in value.dtype.names or ():
            if field.lower() == "labels":
                for place in np.ndindex(value.shape):
                    value[field][place] = np.empty((0, 0))
    result = BytesIO()
    matlab.savemat(result, variables, do_compression=True)
    return b"MATLAB 5.0 MAT-file".ljust(116) + result.getvalue()[116:]  # savemat's own words hold the time of day
