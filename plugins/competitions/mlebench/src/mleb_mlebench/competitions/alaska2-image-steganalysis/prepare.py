"""The clean pictures are split; for each test picture it is drawn whether it hides a message, and by which algorithm.

public/Cover, JMiPOD, JUNIWARD, UERD   the train pictures, renumbered, clean and with a message
public/Test                            of each test picture one form, numbered
public/sample_submission.csv           Label 0 throughout
private/test.csv                       Id, Label: 1 where a message is hidden
"""

from random import Random

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, files_below, random_split, write_csv

ALGORITHMS = ["JMiPOD", "JUNIWARD", "UERD"]
TEST_SIZE = 5000


def prepare(context: Preparation) -> None:
    folder = context.raw / "Cover"
    if not folder.is_dir():
        raise PreparationError(f"{folder} is missing; a folder of clean pictures is expected there")
    covers = [name for name in files_below(folder) if name.endswith(".jpg")]
    train, test = random_split(len(covers), TEST_SIZE, seed=42, what="pictures in Cover")

    draw = Random(0)
    hidden = [covers[i] for i in test]
    draw.shuffle(hidden)
    pairs, answers = [], []
    for number, name in enumerate(hidden, 1):
        clean = draw.choice([True, False])
        form = "Cover" if clean else draw.choice(ALGORITHMS)
        pairs.append((f"{context.raw}/{form}/{name}", f"{context.public}/Test/{number:04d}.jpg"))
        answers.append({"Id": f"{number:04d}.jpg", "Label": 0 if clean else 1})
    for form in ["Cover", *ALGORITHMS]:
        pairs += [
            (f"{context.raw}/{form}/{covers[i]}", f"{context.public}/{form}/{number:05d}.jpg")
            for number, i in enumerate(train, 1)
        ]
    context.progress(f"laying out {len(pairs):,} pictures")
    copy_files(pairs, own=context.own_raw)

    table = pd.DataFrame(answers)
    write_csv(table, context.private / "test.csv")
    write_csv(table.assign(Label=0), context.public / "sample_submission.csv")
