"""One sentence in a hundred is hidden, and one word of it, never the first or last, is left out."""

import zlib
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import islice
from zipfile import BadZipFile

import numpy as np

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_file, open_archive, write_zip

TEST_SHARE = 0.01
LINES = 30_301_028
"""Of the published file; more are not read."""


def prepare(context: Preparation) -> None:
    """Split train_v2.txt line by line with one random generator, which also chooses the words.

    Public: train_v2.txt and test_v2.txt (`id`, shortened sentence), each in a zip. Private: test.csv with the whole
    sentences; the sample submission, which is test_v2.txt. Edition 2 has single blanks between the words of test.csv,
    as test_v2.txt has in both editions.
    """
    random = np.random.RandomState(0)
    train_path, test_path = context.work / "train_v2.txt", context.work / "test_v2.txt"
    with (
        train_path.open("w", encoding="utf-8", newline="\n") as train,
        test_path.open("w", encoding="utf-8", newline="\n") as test,
        (context.private / "test.csv").open("w", encoding="utf-8", newline="\n") as answers,
    ):
        for file in (test, answers):
            file.write('"id","sentence"\n')
        id = 0
        for line in _lines(context):
            if random.random_sample() > TEST_SHARE or len(words := line.split()) <= 2:
                train.write(line)
                continue
            gap = random.randint(1, len(words) - 1)
            whole = line.strip() if context.edition == 1 else " ".join(words)
            short = " ".join(words[:gap] + words[gap + 1 :])
            answers.write(f'{id},"{_quoted(whole)}"\n')
            test.write(f'{id},"{_quoted(short)}"\n')
            id += 1
    copy_file(test_path, context.private / "sample_submission.csv")
    for path in (train_path, test_path):
        context.progress(f"packing {path.name}")
        write_zip(context.public / f"{path.name}.zip", [(path.name, path)], compress=True)


def _lines(context: Preparation) -> Iterator[str]:
    """The sentences, whatever ends their lines in the file; here it is a line feed."""
    path = context.raw / "train_v2.txt.zip"
    try:
        with TextIOWrapper(open_archive(path, context.work).open("train_v2.txt"), encoding="utf-8") as lines:
            yield from islice(lines, LINES)
    except UnicodeDecodeError as error:
        raise PreparationError(f"{path}: train_v2.txt is not UTF-8: {error}") from None
    except (BadZipFile, zlib.error, EOFError) as error:
        raise PreparationError(f"{path} is broken or cut short ({error}); get it again") from None


def _quoted(text: str) -> str:
    return text.replace('"', '""')
