"""Cases (patients) are split, a tenth for test; of a train case with more than four days the later days are test, too.

public/train.csv              id, class, segmentation
public/test.csv               id, class
public/train, test            the scans, a folder for each case and day
public/sample_submission.csv  one mask throughout
private/test.csv              id, class, predicted, image_width, image_height
"""

import re

import numpy as np
import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_files, files_below, grouped_split, need_columns, read_csv, write_csv

DAYS_FOR_TRAIN = 4
SLICE = re.compile(
    r"(?P<case>[^/]+)/(?P<scan>[^/]+)/scans/(?P<slice>slice_\d+)_(?P<width>\d+)_(?P<height>\d+)_[^/]*\.png"
)


def prepare(context: Preparation) -> None:
    table = read_csv(context.raw / "train.csv")
    need_columns(table, ["id", "class", "segmentation"], "train.csv")
    words = table["id"].str.extract(r"^(?P<case>[^_]+)_day(?P<day>\d+)_slice_\d+$")
    for row in np.flatnonzero(words["case"].isna())[:1]:
        raise PreparationError(f"train.csv: id {table['id'][row]!r}; one such as case1_day2_slice_0003 is expected")
    case, day = words["case"], words["day"].astype(int)
    _, chosen = grouped_split(case, 0.1, seed=42)
    is_test = np.zeros(len(table), dtype=bool)
    is_test[chosen] = True
    place = day.groupby(case).rank(method="dense")
    is_test |= (place > DAYS_FOR_TRAIN).to_numpy()

    scan = case + "_day" + words["day"]
    parts = dict(zip(scan, np.where(is_test, "test", "train"), strict=True))
    pairs, sizes = [], {}
    for name in files_below(context.raw / "train"):
        folder = name.split("/")[1] if name.count("/") > 1 else ""
        if folder in parts:
            pairs.append((f"{context.raw}/train/{name}", f"{context.public}/{parts[folder]}/{name}"))
        if found := SLICE.fullmatch(name):
            sizes[f"{found['scan']}_{found['slice']}"] = float(found["width"]), float(found["height"])
    context.progress(f"laying out {len(pairs):,} files")
    copy_files(pairs, own=context.own_raw)

    write_csv(table[~is_test], context.public / "train.csv")
    test = table[is_test].rename(columns={"segmentation": "predicted"}).reset_index(drop=True)
    for row in np.flatnonzero(~test["id"].isin(list(sizes)))[:1]:
        raise PreparationError(f"train/: no picture of slice {test['id'][row]}, which train.csv names")
    size = pd.DataFrame([sizes[id] for id in test["id"]], columns=["image_width", "image_height"])
    write_csv(pd.concat([test, size], axis=1), context.private / "test.csv")
    write_csv(test[["id", "class"]], context.public / "test.csv")
    write_csv(test[["id", "class"]].assign(predicted="1 1 5 2"), context.public / "sample_submission.csv")
