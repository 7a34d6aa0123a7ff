"""Images drawn whale by whale, so that most test whales are known from train and some are new."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mleb_core.prepare import Preparation, copy_files, need_columns, random_split, read_csv, write_csv

SAMPLE = "new_whale w_1287fbc w_98baff9 w_7554f44 w_1eafe46"


def prepare(context: Preparation) -> None:
    """Split train.csv (`is_test`) and lay out the images.

    Written, in the order of train.csv: public/train.csv; private/test.csv, the answers, where a whale that train does
    not have is called new_whale; a sample submission of five constant guesses.
    """
    table = read_csv(context.raw / "train.csv", dtype={"Image": "text", "Id": "text"})
    need_columns(table, ["Image", "Id"], "train.csv")
    table = table[["Image", "Id"]]
    of_test = is_test(table["Id"])
    train, test = table[~of_test], table[of_test]
    write_csv(train, context.public / "train.csv")
    answers = test.assign(Id=test["Id"].where(test["Id"].isin(train["Id"]), "new_whale"))
    write_csv(answers, context.private / "test.csv")
    write_csv(answers.assign(Id=SAMPLE), context.public / "sample_submission.csv")

    context.progress("laying out images")
    for folder, rows in ((context.public / "train", train), (context.public / "test", test)):
        pairs = [(f"{context.raw}/train/{image}", f"{folder}/{image}") for image in rows["Image"]]
        copy_files(pairs, own=context.own_raw)


def is_test(labels: "pd.Series[str]") -> NDArray[np.bool_]:
    """Which rows are test, shape (n,).

    A label with two or more rows has one drawn for train and one for test (RandomState(0) anew for each label); a
    label with one row goes to test with probability 0.1 (one generator for all, labels by first appearance). A random
    tenth of all rows that are left is test.
    """
    codes, _ = pd.factorize(labels)
    rows_by_label = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    single = np.random.default_rng(0)
    part = np.full(len(labels), "", dtype=object)
    for rows in rows_by_label:
        if len(rows) == 1:
            part[rows] = single.choice(["train", "test"], p=[0.9, 0.1])
        else:
            part[rows[np.random.RandomState(0).choice(len(rows), 2, replace=False)]] = ["train", "test"]
    left = np.flatnonzero(part == "")
    if len(left):
        part[left[random_split(len(left), 0.1).test]] = "test"
    result: NDArray[np.bool_] = part == "test"
    return result
