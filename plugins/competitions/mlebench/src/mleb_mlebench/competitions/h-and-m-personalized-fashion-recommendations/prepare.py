"""Transactions are split by time: the last days are test, and what each customer bought in them is the answer."""

import pandas as pd

from mleb_core.errors import PreparationError
from mleb_core.prepare import Preparation, need_columns, read_csv, write_csv


def prepare(context: Preparation) -> None:
    """Hide the last days of the transactions: edition 1 as published eight of them, edition 2 seven.

    Read as numbers, as published, article ids lose their leading zeros; edition 2 writes all ten digits.
    """
    context.recipe()
    path = context.raw / "transactions_train.csv"
    # 31 million rows: as a category, a day is kept once; 1.4 million customers take longer to look up than to keep.
    bought = read_csv(path, dtype={"t_dat": "category", "article_id": "integer"})
    need_columns(bought, ["t_dat", "customer_id", "article_id"], str(path))
    if bought.empty:
        raise PreparationError(f"{path} has no rows; purchases are expected there")
    if context.edition > 1:
        articles = bought["article_id"].astype("category")
        bought["article_id"] = articles.cat.rename_categories([f"{n:010d}" for n in articles.cat.categories])
    try:
        days = pd.to_datetime(bought["t_dat"].cat.categories, format="%Y-%m-%d")
    except ValueError as error:
        raise PreparationError(f"{path}: column 't_dat' holds no dates: {error}") from None
    first = days.max() - pd.Timedelta(days=7 if context.edition == 1 else 6)
    is_test = bought["t_dat"].isin(bought["t_dat"].cat.categories[days >= first])
    write_csv(bought, context.public / "transactions_train.csv", rows=(~is_test).to_numpy().nonzero()[0])

    test = bought.loc[is_test, ["customer_id", "article_id"]].astype(str)
    answers = test.groupby("customer_id", sort=True)["article_id"].agg(" ".join)
    write_csv(answers.rename("prediction").reset_index(), context.private / "answers.csv")
