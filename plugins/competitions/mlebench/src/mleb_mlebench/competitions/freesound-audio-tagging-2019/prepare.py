"""The host's own test set, with the labels that its authors released later."""

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, copy_file, copy_tree, need_columns, open_archive, read_csv, write_csv

META = "FSDKaggle2019.meta"


def prepare(context: Preparation) -> None:
    """Pass on all raw files but the archive with the labels, which gives the answers.

    Scored are the test clips whose `usage` is Private: 1 in the column of each class that `labels` names.
    """
    archive = context.raw / f"{META}.zip"
    if not archive.is_file():
        raise PreparationError(
            f"{archive} is missing; it holds the test labels: fetch it from Zenodo record 3612637 and put it there"
        )
    with open_archive(archive, context.work).open(f"{META}/test_post_competition.csv") as stream:
        released = read_csv(stream, name=f"{archive.name}!{META}/test_post_competition.csv")
    need_columns(released, ["fname", "labels", "usage"], "test_post_competition.csv")
    private = released[released["usage"] == "Private"]

    sample = read_csv(context.raw / "sample_submission.csv")
    need_columns(sample, ["fname"], "sample_submission.csv")
    classes = [column for column in sample.columns if column != "fname"]
    if sorted(sample["fname"]) != sorted(private["fname"]):
        raise PreparationError(
            "sample_submission.csv does not list the clips that are Private in test_post_competition.csv"
        )
    named = [set(labels.split(",")) for labels in private["labels"].fillna("")]
    if unknown := sorted(set().union(*named) - set(classes) - {""}):
        raise PreparationError(f"test_post_competition.csv: label {unknown[0]!r} is no column of sample_submission.csv")
    flags = {label: [int(label in labels) for labels in named] for label in classes}
    write_csv(pd.DataFrame({"fname": private["fname"].to_numpy(), **flags}), context.private / "test.csv")

    for source in sorted(context.raw.iterdir()):
        if META in source.name:
            continue
        context.progress(f"laying out {source.name}")
        lay_out = copy_tree if source.is_dir() else copy_file
        lay_out(source, context.public / source.name, own=context.own_raw)
