"""Patients are split by the recipe; of test patients the first visit is public, and every week is to be predicted."""

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, need_columns, write_csv


def prepare(context: Preparation) -> None:
    """Write the first visits, and a row for each test patient and week from the earliest to the latest of them all."""
    test = context.recipe().test
    need_columns(test, ["Patient", "Weeks", "FVC"], "train.csv")
    if test.duplicated(["Patient", "Weeks"]).any():
        row = test[test.duplicated(["Patient", "Weeks"])].iloc[0]
        raise PreparationError(f"train.csv: patient {row['Patient']} has week {row['Weeks']} twice, once is expected")
    first = test.sort_values("Weeks", kind="stable").groupby("Patient").first().reset_index()
    write_csv(first, context.public / "test.csv", columns=list(test.columns))

    weeks = range(test["Weeks"].min(), test["Weeks"].max() + 1)
    grid = pd.MultiIndex.from_product([test["Patient"].unique(), weeks], names=["Patient", "Weeks"]).to_frame(False)
    answers = grid.merge(test, how="left", on=["Patient", "Weeks"], validate="one_to_one")
    answers["Patient_Week"] = answers["Patient"] + "_" + answers["Weeks"].astype(str)
    answers["Confidence"] = 100
    write_csv(answers, context.private / "test.csv")
    sample = answers[["Patient_Week"]].assign(FVC=2000, Confidence=100)
    write_csv(sample, context.public / "sample_submission.csv")
